import { Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { ApiKeyEntity } from '../api-key/api-key.entity.ts';
import { DatasetEntity, DatasetVersionEntity } from '../dataset/dataset.entity.ts';
import { LanguageModelEntity } from '../language-model/language-model.entity.ts';
import { ModuleEntity } from '../module/module.entity.ts';
import { OptimizerEntity } from '../optimizer/optimizer.entity.ts';
import { ProgramEntity, ProgramPreparationEntity, ProgramVersionEntity } from '../program/program.entity.ts';
import { IdempotencyEntity } from '../repeat/idempotency.entity.ts';
import { SignatureEntity, SignatureModuleEntity, SignatureVersionEntity } from '../signature/signature.entity.ts';
import { Extensions000 } from './migrations/000-extensions.ts';
import { Signatures001 } from './migrations/001-signatures.ts';
import { Programs002 } from './migrations/002-programs.ts';
import { Keys003 } from './migrations/003-keys.ts';
import { LanguageModels004 } from './migrations/004-language-models.ts';
import { Modules005 } from './migrations/005-modules.ts';
import { AuditLog007 } from './migrations/007-audit-log.ts';
import { KeyRotation008 } from './migrations/008-key-rotation.ts';
import { CognitivePrograms009 } from './migrations/009-cognitive-programs.ts';
import { PromptPlans010 } from './migrations/010-prompt-plans.ts';
import { DspyStates011 } from './migrations/011-dspy-states.ts';
import { Pipelines012 } from './migrations/012-pipelines.ts';
import { Datasets013 } from './migrations/013-datasets.ts';
import { Optimizers014 } from './migrations/014-optimizers.ts';
import { ServingPolicies015 } from './migrations/015-serving-policies.ts';
import { SecretKeys017 } from './migrations/017-secret-keys.ts';
import { releaseLostConnections } from './release-lost.ts';

/** Makes the ORM of the schema `registry`: an explicit list of entities and migrations, up to `connectionMax` connections. */
export function createOrm(databaseUrl: string, connectionMax = 10): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: databaseUrl,
    entities: [
      SignatureEntity,
      SignatureVersionEntity,
      SignatureModuleEntity,
      ModuleEntity,
      ProgramEntity,
      ProgramVersionEntity,
      ProgramPreparationEntity,
      ApiKeyEntity,
      LanguageModelEntity,
      OptimizerEntity,
      DatasetEntity,
      DatasetVersionEntity,
      IdempotencyEntity,
    ],
    extensions: [Migrator],
    pool: { min: 0, max: connectionMax, idleTimeoutMillis: 30_000 },
    driverOptions: {
      onPoolCreated: releaseLostConnections,
      application_name: 'signet-registry',
      connectionTimeoutMillis: 5000,
      keepAlive: true,
      options: '-c jit=off -c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s',
    },
    debug: false,
    // The driver's errors are translated and logged at our own door.
    logger: () => {},
    migrations: {
      tableName: 'registry.migrations',
      snapshot: false,
      silent: true,
      migrationsList: [
        { name: '000-extensions', class: Extensions000 },
        { name: '001-signatures', class: Signatures001 },
        { name: '002-programs', class: Programs002 },
        { name: '003-keys', class: Keys003 },
        { name: '004-language-models', class: LanguageModels004 },
        { name: '005-modules', class: Modules005 },
        { name: '007-audit-log', class: AuditLog007 },
        { name: '008-key-rotation', class: KeyRotation008 },
        { name: '009-cognitive-programs', class: CognitivePrograms009 },
        { name: '010-prompt-plans', class: PromptPlans010 },
        { name: '011-dspy-states', class: DspyStates011 },
        { name: '012-pipelines', class: Pipelines012 },
        { name: '013-datasets', class: Datasets013 },
        { name: '014-optimizers', class: Optimizers014 },
        { name: '015-serving-policies', class: ServingPolicies015 },
        { name: '017-secret-keys', class: SecretKeys017 },
      ],
    },
  });
}
