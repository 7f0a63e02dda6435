import { type Clock, systemClock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { createGrpcServer } from '@signet/kit/grpc/server.ts';
import { createLogger, type Logger } from '@signet/kit/log/logger.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { openMetricsDoor } from '@signet/kit/telemetry/metrics-door.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { DatasetInternalServiceService } from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { RegistryInternalServiceService } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { ApiKeyServiceService } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { AuditServiceService } from '@signet/proto/gen/signet/v1/audit_service.ts';
import { DatasetServiceService } from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { LanguageModelServiceService } from '@signet/proto/gen/signet/v1/language_model_service.ts';
import { ModuleServiceService } from '@signet/proto/gen/signet/v1/module_service.ts';
import { OptimizerServiceService } from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import { ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { SignatureServiceService } from '@signet/proto/gen/signet/v1/signature_service.ts';
import type { SignatureDefinition } from '@signet/signature/define-signature.ts';
import { createKeyLookup } from './api-key/key-lookup.postgres.ts';
import { hashKey } from './api-key/key-text.ts';
import { createApiKeyHandlers } from './api-key/rpc.ts';
import { type ApiKeyStore, createApiKeyStore } from './api-key/store.postgres.ts';
import { createAuditHandlers } from './audit/rpc.ts';
import { type AuditStore, createAuditStore } from './audit/store.postgres.ts';
import { createLanguageModelReads } from './catalog/language-models.postgres.ts';
import { CatalogListener } from './catalog/listener.postgres.ts';
import { createModuleReads } from './catalog/modules.postgres.ts';
import { createCatalogHandlers } from './catalog/rpc.ts';
import { createCatalogStore } from './catalog/store.postgres.ts';
import type { RegistryConfig } from './config.ts';
import { createExampleStore, type ExampleStore } from './dataset/examples.postgres.ts';
import { createPublishStore, type PublishStore } from './dataset/publish.postgres.ts';
import { createDatasetHandlers, createDatasetInternalHandlers } from './dataset/rpc.ts';
import { createStagingStore, type StagingStore } from './dataset/staging.postgres.ts';
import { createDatasetStore, type DatasetStore } from './dataset/store.postgres.ts';
import { sweepDatasets } from './dataset/sweep-datasets.ts';
import { openDatabase, type Session } from './db/database.ts';
import { migrate } from './db/migrate.ts';
import { createLanguageModelHandlers } from './language-model/rpc.ts';
import { createLanguageModelStore, type LanguageModelStore } from './language-model/store.postgres.ts';
import { createModuleHandlers } from './module/rpc.ts';
import { createModuleStore, type ModuleStore } from './module/store.postgres.ts';
import { openSecrets } from './open-secrets.ts';
import { createOptimizerHandlers } from './optimizer/rpc.ts';
import { createOptimizerStore, type OptimizerStore } from './optimizer/store.postgres.ts';
import { loadFunctionNames } from './program/load-function-names.ts';
import { createProgramHandlers } from './program/rpc.ts';
import { settleTransitions } from './program/settle-transitions.ts';
import { catalogChannel, createProgramStore, type ProgramStore } from './program/store.postgres.ts';
import type { UnitOfWork } from './repeat/handle.ts';
import { createRepeatStore, type RepeatStore } from './repeat/store.postgres.ts';
import { repeatEvery } from './repeat-every.ts';
import { builtInSignatures, type KnownModule } from './signature/built-in-signatures.ts';
import { loadFieldTypes } from './signature/load-field-types.ts';
import { createSignatureHandlers } from './signature/rpc.ts';
import { createSignatureStore, type SignatureStore } from './signature/store.postgres.ts';

/** What a start may be given besides the configuration, by tests above all. */
export type RegistryOptions = {
  /** Signature modules that are known besides the built-in ones. */
  readonly signatureModules?: readonly (SignatureDefinition & { readonly description?: string })[];
  /** How often transitions that were not renewed are looked for; default 5,000 ms. */
  readonly settleEveryMs?: number;
  /** How often what imports left behind is looked for; default 600,000 ms. */
  readonly sweepEveryMs?: number;
  /** How often what another secret key sealed is looked for; default 60,000 ms. */
  readonly resealEveryMs?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
};

type Stores = {
  readonly signatures: SignatureStore;
  readonly programs: ProgramStore;
  readonly modules: ModuleStore;
  readonly apiKeys: ApiKeyStore;
  readonly languageModels: LanguageModelStore;
  readonly optimizers: OptimizerStore;
  readonly datasets: DatasetStore;
  readonly examples: ExampleStore;
  readonly staging: StagingStore;
  readonly publishing: PublishStore;
  readonly repeats: RepeatStore;
  readonly audit: AuditStore;
};

function createStores(session: Session): Stores {
  return {
    signatures: createSignatureStore(session),
    programs: createProgramStore(session),
    modules: createModuleStore(session),
    apiKeys: createApiKeyStore(session),
    languageModels: createLanguageModelStore(session),
    optimizers: createOptimizerStore(session),
    datasets: createDatasetStore(session),
    examples: createExampleStore(session),
    staging: createStagingStore(session),
    publishing: createPublishStore(session),
    repeats: createRepeatStore(session),
    audit: createAuditStore(session),
  };
}

const databaseWaitMs = 10_000;

/**
 * Starts a registry: waits up to 10 s for the database, migrates it, opens the doors. Closing drains calls, ends watches with
 * SHUTTING_DOWN and leaves nothing running.
 */
export async function createRegistryApp(config: RegistryConfig, options: RegistryOptions = {}): Promise<Running> {
  const log = options.log ?? createLogger('registry', config.logLevel);
  const clock = options.clock ?? systemClock;
  const { adminKey, signatureParser } = config;
  await loadFieldTypes(config.fieldTypesPath);
  const functionNames = await loadFunctionNames(config.functionsPath);
  await migrateWhenThere(config.databaseUrl, log);
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closers.splice(0).reverse()) await step();
  };
  try {
    const telemetry = createTelemetry('signet-registry', config.telemetry, log);
    closers.push(() => telemetry.shutdown());
    const database = await openDatabase(config.databaseUrl);
    closers.push(() => database.close());
    const work: UnitOfWork<Stores> = {
      read: (run) => database.query((session) => run(createStores(session))),
      change: (run, by) => database.transaction((session) => run(createStores(session)), by),
    };
    const { seal, peppers, resealAll } = await openSecrets(config, database, log);
    if (adminKey !== undefined) {
      const by = { keyId: '', name: 'signet', action: 'SIGNET_ADMIN_KEY', traceId: '' };
      await work.change(({ apiKeys }) => apiKeys.putAdminKey(hashKey(adminKey, peppers[0])), by);
    }

    const known = [...(options.signatureModules ?? []), ...builtInSignatures];
    const definitions = new Map(
      known.map((entry): [string, KnownModule] => [entry.module, { description: '', ...entry }]),
    );
    const catalog = createCatalogStore(database);
    const server = createGrpcServer({ telemetry, log, internalToken: config.internalToken });
    const listener = new CatalogListener({
      databaseUrl: config.databaseUrl,
      channel: catalogChannel,
      log,
      onState: (connected) => server.setServing(connected),
    });
    server.add(SignatureServiceService, createSignatureHandlers({ work, definitions, signatureParser }));
    server.add(ModuleServiceService, createModuleHandlers({ work, definitions, signatureParser }));
    server.add(ProgramServiceService, createProgramHandlers({ work, definitions, signatureParser, functionNames }));
    server.add(OptimizerServiceService, createOptimizerHandlers({ work }));
    server.add(DatasetServiceService, createDatasetHandlers({ work }));
    server.add(DatasetInternalServiceService, createDatasetInternalHandlers({ work }));
    server.add(AuditServiceService, createAuditHandlers({ work }));
    const allowPrivate = config.lmAllowPrivate;
    server.add(LanguageModelServiceService, createLanguageModelHandlers({ work, seal, allowPrivate }));
    server.add(ApiKeyServiceService, createApiKeyHandlers({ work, pepper: peppers[0], clock }));
    server.add(
      RegistryInternalServiceService,
      createCatalogHandlers({
        work,
        definitions,
        signatureParser,
        catalog,
        catalogModels: createLanguageModelReads(database),
        catalogModules: createModuleReads(database),
        seal,
        listener,
        keys: createKeyLookup(database),
        peppers,
        adminKey,
      }),
    );
    const grpc = await server.listen(config.address);
    listener.start();
    closers.push(async () => {
      // Callers are told to go elsewhere before watches end, or those would come back here.
      server.setServing(false);
      const emptied = server.close();
      await listener.close();
      await emptied;
    });
    closers.push(
      repeatEvery(options.settleEveryMs ?? 5000, log, () =>
        work.change(settleTransitions, { keyId: '', name: 'signet', action: 'SettleTransitions', traceId: '' }),
      ),
    );
    closers.push(repeatEvery(3_600_000, log, () => work.change(({ repeats }) => repeats.forgetOld())));
    // Again and again: a registry that still has the former secret key may seal with it until it ends.
    closers.push(repeatEvery(options.resealEveryMs ?? 60_000, log, resealAll, 0));
    closers.push(repeatEvery(options.sweepEveryMs ?? 600_000, log, () => work.read(sweepDatasets)));
    const listening: Record<string, string> = { grpc };
    if (config.metricsAddress !== undefined) {
      const door = await openMetricsDoor(telemetry, config.metricsAddress);
      closers.push(() => door.close());
      listening.metrics = door.address;
    }
    log.info({ grpc }, 'the registry is up');
    return { listening, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function migrateWhenThere(databaseUrl: string, log: Logger): Promise<void> {
  const end = performance.now() + databaseWaitMs;
  for (;;) {
    try {
      const { executed, missingExtensions } = await migrate(databaseUrl, 'up');
      if (executed.length > 0) log.info({ executed }, 'the schema was migrated');
      if (missingExtensions.length > 0)
        log.warn({ missingExtensions }, 'extensions are not allowed here; going without');
      return;
    } catch (error) {
      const isAway = error instanceof AppError && error.reason === 'DATABASE_UNAVAILABLE';
      if (!isAway) throw error;
      if (performance.now() >= end) throw new Error(`the database does not answer (${describe(error)})`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

function describe(error: AppError): string {
  const cause = error.cause as { code?: string; message?: string } | undefined;
  return cause?.code ?? cause?.message ?? 'no reason given';
}
