import { isId } from '@signet/kit/id.ts';
import type { Database } from '../db/database.ts';
import { type LanguageModel, languageModelNotFound } from '../language-model/language-model.ts';
import { isSlug } from '../program/slug.ts';
import type { SealedLanguageModel } from './catalog.ts';

const selection = `
  select id, slug, name, description, provider, model, api_base as "apiBase", parameters, capabilities, constrained, limits, prices,
    fallbacks, labels, credential_update_time as "credentialUpdateTime", row_version as "rowVersion", create_time as "createTime",
    update_time as "updateTime", credential, catalog_revision, delete_time is not null as deleted
  from registry.language_models`;

type Times = 'credentialUpdateTime' | 'createTime' | 'updateTime';
type Row = Omit<LanguageModel, Times> & {
  readonly credentialUpdateTime: string | null;
  readonly createTime: string;
  readonly updateTime: string;
  readonly credential: Buffer | null;
  readonly catalog_revision: string;
  readonly deleted: boolean;
};

/** Language models as executors read them, with their sealed credentials: each read is one prepared statement. */
export type LanguageModelReads = ReturnType<typeof createLanguageModelReads>;

/** Makes the reads over the database. */
export function createLanguageModelReads(database: Pick<Database, 'read'>) {
  return {
    /** Reads one by id, deleted ones included, or by the slug of one that is not deleted. LM_NOT_FOUND. */
    async resolve(named: string): Promise<SealedLanguageModel> {
      if (!isId(named) && !isSlug(named)) throw languageModelNotFound(named);
      const [row] = isId(named)
        ? await database.read<Row>('resolve-lm-by-id', `${selection} where id = $1::uuid`, [named])
        : await database.read<Row>('resolve-lm-by-slug', `${selection} where slug = $1 and delete_time is null`, [
            named,
          ]);
      if (row === undefined) throw languageModelNotFound(named);
      return toSealed(row);
    },

    /** Reads what changed after one revision up to another, in the order of the commits, at most `limit`. */
    async changesBetween(after: bigint, upTo: bigint, limit: number): Promise<SealedLanguageModel[]> {
      const rows = await database.read<Row>(
        'catalog-lm-changes',
        `${selection} where catalog_revision > $1::bigint and catalog_revision <= $2::bigint
         order by catalog_revision limit $3::int`,
        [String(after), String(upTo), limit],
      );
      return rows.map(toSealed);
    },
  };
}

function toSealed(row: Row): SealedLanguageModel {
  const {
    credential,
    catalog_revision: revision,
    deleted,
    credentialUpdateTime,
    createTime,
    updateTime,
    ...rest
  } = row;
  const times = { createTime: new Date(createTime), updateTime: new Date(updateTime) };
  const setTime = credentialUpdateTime === null ? null : new Date(credentialUpdateTime);
  return {
    languageModel: { ...rest, ...times, credentialUpdateTime: setTime },
    sealedCredential: credential ?? undefined,
    deleted,
    revision: Number(revision),
  };
}
