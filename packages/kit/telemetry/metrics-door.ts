import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, formatAddress } from '../config/env.ts';
import type { Telemetry } from './telemetry.ts';

/** An HTTP door that shows metrics. */
export type MetricsDoor = { readonly address: string; close(): Promise<void> };

/** Serves `GET /metrics` in Prometheus' text form and `GET /livez`; everything else is 404. Throws EADDRINUSE if the port is taken. */
export async function openMetricsDoor(telemetry: Telemetry, address: Address): Promise<MetricsDoor> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method === 'GET' && path === '/livez') return void response.end('ok\n');
    if (request.method !== 'GET' || path !== '/metrics') return void response.writeHead(404).end('not found\n');
    telemetry.metricsText().then(
      (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text),
      () => response.writeHead(500).end('metrics could not be read\n'),
    );
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host.replace(/^\[|\]$/g, ''), () => resolve());
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: formatAddress({ host: address.host, port }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
