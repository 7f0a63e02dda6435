// Loaded into a process before its own code: SIGUSR2 begins a CPU profile, the next one ends it and writes it to BENCH_PROFILE_FOLDER.
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';

const session = new Session();
let running = false;
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', { interval: 200 });

process.on('SIGUSR2', () => {
  running = !running;
  if (running) {
    session.post('Profiler.start');
    return;
  }
  session.post('Profiler.stop', (_error, result) => {
    const file = join(process.env.BENCH_PROFILE_FOLDER ?? '.', `${process.pid}.cpuprofile`);
    // Whoever waits for the file must not read half of it.
    writeFileSync(`${file}.part`, JSON.stringify(result?.profile));
    renameSync(`${file}.part`, file);
  });
});
