import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';
import { redact } from './redact.ts';

export type { Logger };

/** The levels that SIGNET_LOG_LEVEL takes. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** A level of the log. */
export type LogLevel = (typeof logLevels)[number];

const secretNames = [
  'authorization',
  'apiKey',
  'api_key',
  'secret',
  'secretKey',
  'password',
  'token',
  'credential',
  'key',
];

/** Makes a logger of JSON lines on standard error; secrets are hidden by name and by pattern. */
export function createLogger(service: string, level: LogLevel): Logger {
  return pino(
    {
      level,
      base: { service, pid: process.pid },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: '[hidden]' },
    },
    { write: (line: string) => writeLine(redact(line)) },
  );
}

// A log that cannot be written (a closed pipe, a full disk) must not end the process.
function writeLine(line: string): void {
  try {
    writeSync(2, line);
  } catch {}
}
