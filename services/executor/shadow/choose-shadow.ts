import { type AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { type Engines, requireEngine } from '../engine/choose-engine.ts';
import type { Engine } from '../engine/engine.ts';
import type { RunOptions } from '../execution/execution.ts';
import { toolsOf } from '../tool/tool.ts';

/**
 * The engine that runs a call once more for comparison; undefined if none was asked for. Fails with INVALID_REQUEST for the mock engine,
 * for one that the program does not allow or that gives the answer anyway, and where tools would change things twice.
 */
export function chooseShadow(engines: Engines, program: ServedProgram, options: RunOptions): Engine | undefined {
  const { shadow } = options;
  if (shadow === undefined) return undefined;
  if (program.pipeline !== undefined) throw refusal('a pipeline is not compared; its modules are', 'ENGINE_FORBIDDEN');
  if (shadow === 'mock' || program.adapterType === 'mock') {
    throw refusal('must be python or native, of a program that is not served by the mock engine', 'ENGINE_FORBIDDEN');
  }
  if (shadow === options.engine) throw refusal('must be another engine than the one asked for', 'ENGINE_FORBIDDEN');
  const implementation = program.moduleSettings?.implementation ?? 'hybrid';
  if (program.adapterType === 'native' || implementation !== 'hybrid') {
    const only = program.adapterType === 'native' ? 'native' : implementation;
    throw refusal(`the program is served by the ${only} engine alone`, 'ENGINE_FORBIDDEN');
  }
  const { engineProgram } = program;
  if (shadow === 'native' && engineProgram.planJson === '' && engineProgram.nativeFault !== '') {
    throw refusal(`the native engine cannot run it: ${engineProgram.nativeFault}`, 'ENGINE_FORBIDDEN');
  }
  for (const [name, { method }] of toolsOf(engineProgram.moduleConfig)) {
    if (method !== 'GET') throw refusal(`would call the tool ${name} twice, which is not a GET`, 'TOOL_REPEATED');
  }
  return requireEngine(engines, shadow);
}

/** The same for what was accepted before; undefined where that has come to be refused since: a comparison is no reason to fail. */
export function chooseShadowAgain(engines: Engines, program: ServedProgram, options: RunOptions): Engine | undefined {
  try {
    return chooseShadow(engines, program, options);
  } catch {
    return undefined;
  }
}

function refusal(description: string, reason: string): AppError {
  return invalidField('execution_options.shadow', description, reason);
}
