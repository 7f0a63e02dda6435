import { readOptions, USAGE, UsageError } from './options.ts';
import { runConformance } from './run-conformance.ts';

try {
  process.exitCode = await runConformance(readOptions(process.argv.slice(2)), (line) => console.log(line));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
