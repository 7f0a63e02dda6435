import type { Seal } from '../sealing/seal.ts';
import type { ResolvedLanguageModel, SealedLanguageModel } from './catalog.ts';

const fault =
  'its credential was sealed with another SIGNET_SECRET_KEY; start the registry with that one, also as SIGNET_SECRET_KEY_PREVIOUS, or set the credential again';

/** Opens the credential of a language model; one that does not open is told as such, so that nobody is called without it. */
export function openCredential(seal: Seal, sealed: SealedLanguageModel): ResolvedLanguageModel {
  const { sealedCredential, ...rest } = sealed;
  const opened =
    sealedCredential === undefined ? '' : seal.open('language-model', rest.languageModel.id, sealedCredential);
  return { ...rest, credential: opened ?? '', credentialFault: opened === undefined ? fault : '' };
}
