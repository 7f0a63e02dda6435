import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const enough = { DATABASE_URL: 'postgres://localhost/x', SIGNET_SECRET_KEY: 'a secret' };

describe('configuration of the executor', () => {
  it('needs a database and a token, and says all that is missing at once', () => {
    expect(() => readConfig({})).toThrow(/DATABASE_URL.*SIGNET_INTERNAL_TOKEN/);
    expect(() => readConfig({ ...enough, SIGNET_DETACHED_MAX: 'many', SIGNET_EXECUTOR_ADDRESS: 'x' })).toThrow(
      /SIGNET_EXECUTOR_ADDRESS.*SIGNET_DETACHED_MAX/,
    );
  });

  it('knows no language model unless one is named', () => {
    expect(readConfig(enough).lm).toBeUndefined();
    const lm = {
      SIGNET_LM_MODEL: 'openai/x',
      SIGNET_LM_API_BASE: 'http://127.0.0.1:1/v1',
      SIGNET_LM_CONSTRAINED: 'grammar',
    };
    expect(readConfig({ ...enough, ...lm }).lm).toMatchObject({
      ...{ slug: 'default', provider: 'openai', allowPrivate: true },
      model: 'openai/x',
      apiBase: 'http://127.0.0.1:1/v1',
      apiKey: '',
      constrained: 'grammar',
    });
  });
});
