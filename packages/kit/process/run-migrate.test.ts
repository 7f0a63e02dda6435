import { describe, expect, it } from 'vitest';
import { parseMigrateCommand } from './run-migrate.ts';

describe('a migrate command', () => {
  it.each([
    [['up'], { action: 'up', steps: 1, loseData: false }],
    [['status'], { action: 'status', steps: 1, loseData: false }],
    [['down'], { action: 'down', steps: 1, loseData: false }],
    [['down', '--steps', '3', '--lose-data'], { action: 'down', steps: 3, loseData: true }],
    [['--all', 'down'], { action: 'down', steps: 'all', loseData: false }],
  ])('reads %j', (args, command) => {
    expect(parseMigrateCommand(args)).toEqual(command);
  });

  it.each([
    [[]],
    [['sideways']],
    [['up', 'down']],
    [['down', '--step', '3']],
    [['down', '--steps']],
    [['down', '--steps', '0']],
    [['down', '--steps', '1.5']],
    [['down', '--steps', 'many']],
    [['down', '--steps', '2', '--all']],
    [['down', '--lose-dat']],
  ])('refuses %j with the usage', (args) => {
    expect(() => parseMigrateCommand(args)).toThrow(/^usage: migrate\.ts up \| down/);
  });
});
