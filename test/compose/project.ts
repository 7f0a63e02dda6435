import { randomBytes, randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Doors } from '../support/steady-load.ts';
import { type DockerOptions, docker } from './container-engine.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const UP_MS = 840_000;
const FILES = ['-f', 'docker-compose.yml', '-f', 'test/compose/language-model.yml'];

/** The services that may have replicas. */
export type ScaledService = 'sidecar' | 'executor' | 'gateway' | 'registry';

/** What tells one project from another: its name, and what its compose file is given. */
export type ProjectHandle = { readonly name: string; readonly env: Readonly<Record<string, string>> };

/** The whole of docker-compose.yml, up under a name of its own, with a scripted language model beside it. */
export type ComposeProject = {
  readonly handle: ProjectHandle;
  /** The name of a container, as docker knows it. */
  container(service: string, at?: number): string;
  /** Runs `docker compose` on the project. */
  compose(args: readonly string[], options?: Pick<DockerOptions, 'timeoutMs' | 'input'>): Promise<string>;
  /** Has so many replicas of these services, and of the others what the file says; starts what was killed and waits until all are healthy. */
  scale(replicas: Readonly<Partial<Record<ScaledService, number>>>): Promise<void>;
  /** Where a port of a container is published. */
  published(service: string, port: number, at?: number): Promise<string>;
  /** The doors of a gateway. */
  doors(at?: number): Promise<Doors>;
  /** A secret, as an operator reads it. */
  secret(name: string): Promise<string>;
  /** Removes containers, networks, volumes and images; repeatable. */
  down(): Promise<void>;
};

/** Builds the images, brings a project up and waits until it is healthy; leaves nothing behind when it cannot. */
export async function startProject(): Promise<ComposeProject> {
  const name = `signet-test-${randomBytes(4).toString('hex')}`;
  const project = openProject({ name, env: await environmentOf(name) });
  try {
    await project.compose(['build', '--quiet'], { timeoutMs: UP_MS });
    await project.scale({});
  } catch (error) {
    const logs = await project.compose(['logs', '--tail', '30']).catch(() => '');
    await project.down();
    throw new Error(`the project does not come up\n${logs}`, { cause: error });
  }
  return project;
}

/** A project, whether it is up or not. */
export function openProject(handle: ProjectHandle): ComposeProject {
  const { name, env } = handle;
  const compose: ComposeProject['compose'] = (args, options) =>
    docker(['compose', '-p', name, ...FILES, ...args], { cwd: ROOT, env, ...options });
  const published = (service: string, port: number, at = 1): Promise<string> =>
    compose(['port', '--index', String(at), service, String(port)]);
  return {
    handle,
    compose,
    published,
    container: (service, at = 1) => `${name}-${service}-${at}`,
    async scale(replicas) {
      const scale = Object.entries(replicas).flatMap(([service, count]) => ['--scale', `${service}=${count}`]);
      const wait = ['--wait', '--wait-timeout', '180'];
      await compose(['up', '-d', '--no-build', '--quiet-pull', ...wait, ...scale], { timeoutMs: UP_MS });
    },
    async doors(at = 1) {
      return { http: await published('gateway', 8080, at), grpc: await published('gateway', 50050, at) };
    },
    secret: (secret) => compose(['run', '--rm', '-T', '--no-deps', 'secrets', 'show', secret]),
    async down() {
      await compose(['down', '-v', '--timeout', '5', '--remove-orphans']);
      for (const image of ['services', 'sidecar']) {
        await docker(['rmi', '-f', `signet/${image}:${name}`]).catch(() => undefined);
      }
    },
  };
}

async function environmentOf(name: string): Promise<Record<string, string>> {
  return {
    SIGNET_TAG: name,
    SIGNET_HTTP_PORTS: await freePair(),
    SIGNET_GRPC_PORTS: await freePair(),
    // Port 0 lets the engine choose.
    SIGNET_JAEGER_PORT: '0',
    SIGNET_RATE_LIMIT: 'off',
    SIGNET_SIDECAR_WORKERS: '1',
    SIGNET_CODE: './test/compose/code',
    SIGNET_FUNCTIONS: '/code/functions.ts',
    SIGNET_PYTHON_MODULES: 'shouts=shouting:shouts',
  };
}

/** Two free ports in a row, as `FIRST-LAST`. */
async function freePair(): Promise<string> {
  for (;;) {
    const first = randomInt(20_000, 32_000);
    const isFree = await Promise.all([first, first + 1].map(canListen));
    if (isFree.every(Boolean)) return `${first}-${first + 1}`;
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
