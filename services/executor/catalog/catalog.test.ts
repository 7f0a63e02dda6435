import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import { execute, internalToken, json } from '../test-support/executor.ts';
import { useTestExecutor } from '../test-support/use-executor.ts';
import { startFakeRegistry } from './registry.fake.ts';

const test = useTestExecutor([
  { slug: 'qa', spec: 'question: str, context: list[str] = [] -> answer: str, confidence: float' },
]);
const question = json({ question: 'why?' });

describe('the catalog of an executor', () => {
  it('goes on from its catalog while the registry is away', async () => {
    await execute(test, { program: 'qa', inputs: question });
    const asked = test.registry.resolves;
    await execute(test, { program: 'qa', inputs: question });
    expect(test.registry.resolves).toBe(asked);
    const [, port = ''] = test.registry.address.split(':');
    await test.registry.close();
    expect(await execute(test, { program: 'qa', inputs: question })).toHaveProperty('executionId');
    await expect(execute(test, { program: 'nobody', inputs: question })).rejects.toMatchObject({
      reason: 'SERVICE_UNAVAILABLE',
    });
    const next = await startFakeRegistry(internalToken, Number(port));
    next.put({ slug: 'newcomer', spec: 'q -> a' });
    await eventually(() => execute(test, { program: 'newcomer', inputs: json({ q: '1' }) }));
    await next.close();
  });
});
