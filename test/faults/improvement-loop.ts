import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { VICTIMS, type Victim } from './improvement-loop/falls.ts';
import { startGround } from './improvement-loop/ground.ts';
import { runRound, type Undisturbed } from './improvement-loop/round.ts';

const usage = `node test/faults/improvement-loop.ts [options]
  --seeds N      how many rounds (default 20)
  --first N      the first round's seed (default: any)
  --victims A,B  who may fall: ${VICTIMS.join(', ')} (default: all)`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    first: { type: 'string', default: String(Date.now() % 1_000_000) },
    victims: { type: 'string', default: VICTIMS.join(',') },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const victims = VICTIMS.filter((name): name is Victim => values.victims.split(',').includes(name));
const first = Number(values.first);
const ground = await startGround(first);
const undisturbed: Undisturbed = new Map();
try {
  for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
    const { optimization, falls, tookMs, asked, again, faults } = await runRound(ground, undisturbed, {
      seed,
      victims,
    });
    const what = `seed ${seed}: ${optimization}; ${falls.join(', ') || 'nobody'} fell; ${asked} calls, ${again} of them again`;
    process.stdout.write(`${what}; ${(tookMs / 1000).toFixed(1)} s; ${faults.length} faults\n`);
    for (const fault of faults) process.stdout.write(`  ${fault}\n`);
    if (faults.length === 0) continue;
    process.exitCode = 1;
    const path = join(tmpdir(), `signet-improvement-loop-${seed}.log`);
    writeFileSync(path, ground.stack.logs());
    process.stdout.write(`  what the processes said: ${path}\n`);
  }
} finally {
  await ground.close();
}
