import type { Logger } from '@signet/kit/log/logger.ts';
import { openPeppers, type Peppers } from './api-key/open-peppers.ts';
import { createPepperStore } from './api-key/peppers.postgres.ts';
import type { RegistryConfig } from './config.ts';
import type { Database } from './db/database.ts';
import { reseal } from './sealing/reseal.ts';
import { createSeal, type Seal } from './sealing/seal.ts';
import { createSealedRows } from './sealing/sealed-rows.postgres.ts';

/** What the secret keys of a registry open. */
export type Secrets = {
  readonly seal: Seal;
  readonly peppers: Peppers;
  /** Seals anew what another secret key sealed, and says how much in the log. */
  resealAll(): Promise<void>;
};

/** Opens with the secret keys what a start needs of the database. */
export async function openSecrets(
  { secretKey, previousSecretKey }: Pick<RegistryConfig, 'secretKey' | 'previousSecretKey'>,
  database: Database,
  log: Logger,
): Promise<Secrets> {
  const secretKeys: Peppers = previousSecretKey === undefined ? [secretKey] : [secretKey, previousSecretKey];
  const seal = createSeal(secretKeys);
  const { opened, isLost } = await database.transaction((session) =>
    openPeppers({ peppers: createPepperStore(session), seal }, secretKeys),
  );
  if (isLost)
    log.error(
      { key_id: seal.keyId },
      'SIGNET_SECRET_KEY is another than before: API keys made under that one are not known',
    );
  const rows = createSealedRows(database);
  let toldUnopened = 0;
  return {
    seal,
    peppers: opened,
    async resealAll() {
      const { resealed, unopened } = await reseal({ rows, seal });
      if (resealed > 0) log.info({ resealed, key_id: seal.keyId }, 'sealed anew under SIGNET_SECRET_KEY');
      if (unopened > 0 && unopened !== toldUnopened)
        log.error({ unopened, key_id: seal.keyId }, 'there are credentials that no secret key opens');
      toldUnopened = unopened;
    },
  };
}
