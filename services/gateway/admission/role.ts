import { type Principal, type Role, roles } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';

/** The least role that each public method needs, by `/service/method`. A method without a row is denied to everybody. */
export const roleTable: Readonly<Record<string, Role>> = {
  ...rows('signet.v1.SignatureService', {
    ParseSignature: 'editor',
    CreateSignatureFromModule: 'editor',
    ValidateModule: 'viewer',
    GetSignature: 'viewer',
    ListSignatures: 'viewer',
    UpdateSignature: 'editor',
    DeleteSignature: 'editor',
    ActivateSignature: 'editor',
    DeprecateSignature: 'editor',
    OptimizeSignature: 'editor',
    ListSignatureVersions: 'viewer',
    ListFieldTypes: 'viewer',
  }),
  ...rows('signet.v1.ModuleService', {
    RegisterModule: 'editor',
    GetModule: 'viewer',
    ListModules: 'viewer',
    UpdateModule: 'editor',
    DeleteModule: 'editor',
    UpdateModuleMetrics: 'editor',
    FireModuleEvent: 'editor',
    GetModuleCapabilities: 'viewer',
  }),
  ...rows('signet.v1.ProgramService', {
    CreateProgram: 'editor',
    ComposeProgram: 'editor',
    GetProgram: 'viewer',
    ListPrograms: 'viewer',
    UpdateProgram: 'editor',
    DeleteProgram: 'editor',
    ArchiveProgram: 'editor',
    ResetProgram: 'editor',
    ListProgramVersions: 'viewer',
    GetProgramVersion: 'viewer',
    ImportProgramVersion: 'editor',
    ExportProgramVersion: 'viewer',
  }),
  ...rows('signet.v1.ApiKeyService', {
    CreateApiKey: 'admin',
    GetApiKey: 'admin',
    ListApiKeys: 'admin',
    UpdateApiKey: 'admin',
    RotateApiKey: 'admin',
    RevokeApiKey: 'admin',
    DeleteApiKey: 'admin',
    GetMe: 'viewer',
  }),
  ...rows('signet.v1.AuditService', { ListAuditEntries: 'admin' }),
  // The registry asks for an admin where a credential is at stake.
  ...rows('signet.v1.LanguageModelService', {
    CreateLanguageModel: 'editor',
    GetLanguageModel: 'viewer',
    ListLanguageModels: 'viewer',
    UpdateLanguageModel: 'editor',
    DeleteLanguageModel: 'editor',
  }),
  ...rows('signet.v1.DatasetService', {
    CreateDataset: 'editor',
    GetDataset: 'viewer',
    ListDatasets: 'viewer',
    UpdateDataset: 'editor',
    DeleteDataset: 'editor',
    ListDatasetVersions: 'viewer',
    GetDatasetVersion: 'viewer',
    ImportExamples: 'editor',
    ListExamples: 'viewer',
    ExportExamples: 'viewer',
    GetDatasetStatistics: 'viewer',
  }),
  ...rows('signet.v1.RuntimeService', {
    InitializeProgram: 'editor',
    PromoteProgramVersion: 'editor',
    RenderPrompt: 'runner',
    ExecuteProgram: 'runner',
    StreamProgram: 'runner',
    RunProgram: 'runner',
    BatchExecuteProgram: 'runner',
    ExecuteModule: 'runner',
    QuickExecute: 'runner',
    CheckLanguageModel: 'editor',
  }),
  ...rows('signet.v1.OptimizerService', {
    CreateOptimizer: 'editor',
    GetOptimizer: 'viewer',
    ListOptimizers: 'viewer',
    UpdateOptimizer: 'editor',
    DeleteOptimizer: 'editor',
    ListOptimizerKinds: 'viewer',
  }),
  ...rows('signet.v1.OptimizationService', {
    OptimizeProgram: 'editor',
    GetOptimizationJob: 'viewer',
    ListOptimizationJobs: 'viewer',
    ListOptimizationTrials: 'viewer',
    WatchOptimizationJob: 'viewer',
    CancelOptimizationJob: 'editor',
  }),
  ...rows('signet.v1.EvaluationService', {
    EvaluateProgram: 'editor',
    GetEvaluation: 'viewer',
    ListEvaluations: 'viewer',
    WatchEvaluation: 'viewer',
    CancelEvaluation: 'editor',
    ListEvaluationResults: 'viewer',
    CompareEvaluations: 'viewer',
  }),
  ...rows('signet.v1.ExecutionService', {
    CreateExecution: 'runner',
    GetExecution: 'viewer',
    GetExecutionTree: 'viewer',
    ListExecutions: 'viewer',
    DeleteExecution: 'editor',
    RecentExecutions: 'viewer',
    WaitExecution: 'viewer',
    WatchExecution: 'viewer',
    CancelExecution: 'runner',
    RetryExecution: 'runner',
    AddFeedback: 'runner',
    ImportExecutions: 'editor',
    ListExecutionAuditEntries: 'admin',
    AggregateExecutions: 'viewer',
    ListExecutionShadows: 'viewer',
    GetSignatureUsage: 'viewer',
    GetProgramStats: 'viewer',
    GetProgramStatistics: 'viewer',
  }),
  ...rows('signet.v1.BatchService', {
    CreateBatch: 'runner',
    UploadBatch: 'runner',
    GetBatch: 'viewer',
    ListBatches: 'viewer',
    PauseBatch: 'runner',
    ResumeBatch: 'runner',
    CancelBatch: 'runner',
    WatchBatch: 'viewer',
    ListBatchItems: 'viewer',
    DownloadBatchResults: 'viewer',
    DeleteBatch: 'editor',
  }),
};

/** Throws ROLE_REQUIRED unless a key may call a method; what has no row is denied. */
export function requireMethodRole(principal: Principal, path: string): void {
  const needed = Object.hasOwn(roleTable, path) ? roleTable[path] : undefined;
  if (needed === undefined) throw new AppError('ROLE_REQUIRED', 'no role may call this method');
  if (roles.indexOf(principal.role) < roles.indexOf(needed)) {
    throw new AppError('ROLE_REQUIRED', `this needs a key with the role ${needed}`, { metadata: { role: needed } });
  }
}

function rows(service: string, methods: Readonly<Record<string, Role>>): Record<string, Role> {
  return Object.fromEntries(Object.entries(methods).map(([method, role]) => [`/${service}/${method}`, role]));
}
