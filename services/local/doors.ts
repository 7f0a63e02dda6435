import { type Address, formatAddress } from '@signet/kit/config/env.ts';
import { DOOR_VARIABLES, type DoorName, type Doors, METRICS_DOORS } from './config.ts';
import { freePort, isPortFree } from './free-port.ts';
import { LaunchError } from './launch-error.ts';

/** Concrete addresses of all doors, `HOST:PORT`. */
export type OpenDoors = Record<DoorName, string>;

/** Concrete addresses of metrics by process. */
export type MetricsDoors = Record<(typeof METRICS_DOORS)[number], string>;

/** Replaces each port 0 by a free one and checks the others. Throws a LaunchError that names the variable of a port that is taken. */
export async function chooseDoors(doors: Doors): Promise<OpenDoors> {
  const names = Object.keys(DOOR_VARIABLES) as DoorName[];
  const chosen = new Set<number>();
  const open: Partial<OpenDoors> = {};
  for (const name of names) {
    const address = doors[name];
    const port = address.port === 0 ? await freshPort(chosen) : await checkPort(name, address, chosen);
    chosen.add(port);
    open[name] = formatAddress({ host: address.host, port });
  }
  return open as OpenDoors;
}

/** Where each process shows its metrics: from a port on, in the order of METRICS_DOORS, or free ones for port 0. */
export async function chooseMetricsDoors({ host, port }: Address, doors: OpenDoors): Promise<MetricsDoors> {
  const chosen = new Set(Object.values(doors).map((door) => Number(door.slice(door.lastIndexOf(':') + 1))));
  const open: Partial<MetricsDoors> = {};
  for (const [index, name] of METRICS_DOORS.entries()) {
    const next = port === 0 ? await freshPort(chosen) : port + index;
    if (port !== 0 && (next > 65_535 || chosen.has(next) || !(await isPortFree(next, host.replace(/^\[|\]$/g, ''))))) {
      throw new LaunchError(
        `port ${next} is taken: SIGNET_METRICS_ADDRESS needs three ports in a row (port 0 picks free ones)`,
      );
    }
    chosen.add(next);
    open[name] = formatAddress({ host, port: next });
  }
  return open as MetricsDoors;
}

async function freshPort(chosen: Set<number>): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (!chosen.has(port)) return port;
  }
}

async function checkPort(name: DoorName, { host, port }: Address, chosen: Set<number>): Promise<number> {
  const variable = DOOR_VARIABLES[name];
  if (chosen.has(port)) throw new LaunchError(`${variable}: port ${port} is asked for twice`);
  let free: boolean;
  try {
    free = await isPortFree(port, host.replace(/^\[|\]$/g, ''));
  } catch (error) {
    throw new LaunchError(
      `${variable}: ${host}:${port} cannot be listened on (${error instanceof Error ? error.message : error})`,
    );
  }
  if (!free)
    throw new LaunchError(`port ${port} is taken: set ${variable} to another address (port 0 picks a free one)`);
  return port;
}
