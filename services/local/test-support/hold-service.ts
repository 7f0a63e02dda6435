// Supervises one fake service, prints its number, and holds it until this process is killed.
import { join } from 'node:path';
import { SupervisedProcess } from '../supervise.ts';

const service = new SupervisedProcess(
  {
    name: 'fake',
    command: process.execPath,
    args: [join(import.meta.dirname, 'fake-service.ts')],
    cwd: import.meta.dirname,
    env: { PATH: process.env.PATH },
    log: { path: '', write: () => undefined, note: () => undefined },
  },
  () => undefined,
);
await service.start();
process.stdout.write(`${service.pid}\n`);
