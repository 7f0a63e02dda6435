import { ConfigError } from '@signet/kit/config/env.ts';
import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';

describe('the configuration', () => {
  test('has the defaults of the contract', () => {
    expect(readConfig({ SIGNET_SECRET_KEY: 'secret' })).toMatchObject({
      http: { host: '127.0.0.1', port: 8080 },
      grpc: { host: '127.0.0.1', port: 50050 },
      registryAddress: '127.0.0.1:50051',
      executorAddress: '127.0.0.1:50052',
      rateLimit: { count: 100, windowMs: 60_000 },
      logLevel: 'info',
    });
  });

  test('turns the limit off when told so', () => {
    expect(readConfig({ SIGNET_SECRET_KEY: 'secret', SIGNET_RATE_LIMIT: 'off' }).rateLimit).toBeUndefined();
  });

  test('tells all faults at once', () => {
    const faults = (): unknown =>
      readConfig({ SIGNET_HTTP_ADDRESS: 'nowhere', SIGNET_RATE_LIMIT: 'fast', SIGNET_LOG_LEVEL: 'loud' });
    expect(faults).toThrow(ConfigError);
    expect(faults).toThrow(/SIGNET_HTTP_ADDRESS/);
    expect(faults).toThrow(/SIGNET_RATE_LIMIT/);
    expect(faults).toThrow(/SIGNET_LOG_LEVEL/);
    expect(faults).toThrow(/SIGNET_SECRET_KEY/);
  });
});
