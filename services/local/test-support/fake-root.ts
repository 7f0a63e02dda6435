import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FAKES = {
  registry: 'SIGNET_REGISTRY_ADDRESS',
  executor: 'SIGNET_EXECUTOR_ADDRESS',
  gateway: 'SIGNET_HTTP_ADDRESS',
};

/** Lays out a folder as the launcher expects the repository, with services that only listen and note their end in `ends.txt`. */
export function makeFakeRoot(root: string): void {
  chmodSync(root, 0o755);
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  for (const [name, variable] of Object.entries(FAKES)) {
    mkdirSync(join(root, 'services', name), { recursive: true });
    writeFileSync(join(root, 'services', name, 'main.ts'), nodeFake(root, name, variable));
  }
  mkdirSync(join(root, 'python-sidecar', 'signet_sidecar'), { recursive: true });
  writeFileSync(join(root, 'python-sidecar', 'signet_sidecar', '__init__.py'), '');
  writeFileSync(join(root, 'python-sidecar', 'signet_sidecar', '__main__.py'), pythonFake(root));
  mkdirSync(join(root, '.signet', 'venv', 'bin'), { recursive: true });
  // Any Python will do: the fake needs nothing of it.
  symlinkSync('/usr/bin/python3', join(root, '.signet', 'venv', 'bin', 'python'));
}

function nodeFake(root: string, name: string, variable: string): string {
  return `
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
const [host, port] = process.env.${variable}.split(':');
const server = createServer((request, response) => response.end(JSON.stringify({ pid: process.pid, url: request.url })));
server.listen(Number(port), host, () => console.log(JSON.stringify({ event: 'listening', address: host + ':' + port })));
const end = () => { appendFileSync(${JSON.stringify(join(root, 'ends.txt'))}, '${name}\\n'); process.exit(0); };
process.on('SIGTERM', end);
process.stdin.resume().on('end', end);
`;
}

function pythonFake(root: string): string {
  return `
import json, os, signal, sys
def end(*_):
    with open(${JSON.stringify(join(root, 'ends.txt'))}, "a") as file:
        file.write("sidecar\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print(json.dumps({"event": "listening", "address": os.environ["SIGNET_SIDECAR_ADDRESS"]}), flush=True)
sys.stdin.read()
end()
`;
}
