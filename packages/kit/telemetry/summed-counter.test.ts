import { expect, test } from 'vitest';
import { createSummedCounter } from './summed-counter.ts';
import { createTelemetry } from './telemetry.ts';
import { noTelemetry } from './telemetry-config.ts';

test('what was added is there whenever somebody looks, apart by attributes, and goes on growing', async () => {
  const telemetry = createTelemetry('test', noTelemetry);
  const counter = createSummedCounter(telemetry.meter, 'signet.test.count', { description: 'Things' });
  const [ok, failed] = [{ status: 'ok' }, { status: 'failed' }];
  counter.add(1, ok);
  counter.add(2, ok);
  counter.add(1, failed);
  const value = async (status: string) =>
    new RegExp(`^signet_test_count_total\\{[^}]*status="${status}"[^}]*\\} (\\d+)`, 'm').exec(
      await telemetry.metricsText(),
    )?.[1];
  expect([await value('ok'), await value('failed')]).toEqual(['3', '1']);
  counter.add(4, ok);
  expect([await value('ok'), await value('failed')]).toEqual(['7', '1']);
  await telemetry.shutdown();
});
