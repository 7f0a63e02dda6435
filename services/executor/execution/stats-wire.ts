import { AdapterType as WireAdapterType } from '@signet/proto/gen/signet/v1/common.ts';
import type { ProgramStatistics, ProgramStats } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { AdapterType } from '../engine/choose-engine.ts';
import type { Counters, Statistics } from './execution.ts';

const wireAdapterTypes: Readonly<Record<AdapterType, WireAdapterType>> = {
  python_port: WireAdapterType.ADAPTER_TYPE_PYTHON_PORT,
  native: WireAdapterType.ADAPTER_TYPE_NATIVE,
  mock: WireAdapterType.ADAPTER_TYPE_MOCK,
};

const wireStates: Readonly<Record<ServedProgram['state'], ProgramStatus>> = {
  draft: ProgramStatus.PROGRAM_STATUS_DRAFT,
  initializing: ProgramStatus.PROGRAM_STATUS_INITIALIZING,
  ready: ProgramStatus.PROGRAM_STATUS_READY,
  optimizing: ProgramStatus.PROGRAM_STATUS_OPTIMIZING,
  error: ProgramStatus.PROGRAM_STATUS_ERROR,
  archived: ProgramStatus.PROGRAM_STATUS_ARCHIVED,
};

/** The counters of a program. */
export function toWireStats({
  program,
  executionCount,
  lastExecutedAt,
}: Counters & { program: ServedProgram }): ProgramStats {
  return {
    id: program.id,
    name: program.name,
    status: wireStates[program.state],
    executionCount,
    lastExecutedAt,
    adapterType: wireAdapterTypes[program.adapterType],
    dspyProgramId: program.dspyProgramId,
  };
}

/** The figures of a program. */
export function toWireStatistics({ total, successful, failed, averageDurationMs }: Statistics): ProgramStatistics {
  return {
    totalExecutions: total,
    successfulExecutions: successful,
    failedExecutions: failed,
    successRate: total === 0n ? 0 : Number(successful) / Number(total),
    averageDurationMs,
  };
}
