// Prints the totals of a test run as one line; ends with 1 if a test failed, if a report is missing or if a runner ran nothing.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const folder = process.argv[2] ?? '.';

function readVitest(file) {
  const report = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  // A file that could not even be loaded has no tests of its own to count.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  );
  for (const file of report.testResults) {
    for (const test of file.assertionResults) {
      if (test.status === 'failed') console.log(`failed: ${test.fullName}\n${why(test.failureMessages.join('\n'))}`);
    }
  }
  for (const file of broken) console.log(`failed: ${file.name}\n${why(file.message)}`);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** The first lines of what a test said, which the end of a long log then holds. */
function why(text) {
  return text
    .split('\n')
    .filter((line) => !line.includes('node_modules'))
    .slice(0, 15)
    .map((line) => `  ${line.slice(0, 300)}`)
    .join('\n');
}

function readPytest() {
  const xml = readFileSync(join(folder, 'pytest.xml'), 'utf8');
  const sum = (name) =>
    [...xml.matchAll(/<testsuite\s[^>]*>/g)].reduce(
      (total, [tag]) => total + Number(new RegExp(`\\s${name}="(\\d+)"`).exec(tag)?.[1] ?? 0),
      0,
    );
  const failed = sum('failures') + sum('errors');
  const skipped = sum('skipped');
  return { passed: sum('tests') - failed - skipped, failed, skipped };
}

function read(name, reader) {
  try {
    const totals = reader();
    console.log(`${name}: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
    if (totals.passed > 0) return totals;
    // Only the tests in containers may be left out as a whole; then something else must have said why.
    const why =
      name === 'compose' && totals.failed === 0 && totals.skipped > 0 ? process.env.SIGNET_TEST_NO_ENGINE : '';
    if (why) {
      console.log(`${name} is left out: ${why}`);
      return totals;
    }
    console.log(`${name} ran no test`);
    return { ...totals, failed: Math.max(1, totals.failed) };
  } catch (error) {
    console.log(`${name} left no report (${error.code ?? error.message})`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const all = [
  read('vitest', () => readVitest('vitest.json')),
  read('pytest', readPytest),
  read('compose', () => readVitest('compose.json')),
];
const total = (name) => all.reduce((sum, totals) => sum + totals[name], 0);
console.log(`signet: ${total('passed')} passed, ${total('failed')} failed, ${total('skipped')} skipped`);
process.exitCode = total('failed') > 0 ? 1 : 0;
