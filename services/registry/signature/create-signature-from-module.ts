import { AppError } from '@signet/kit/error/app-error.ts';
import { checkSignatureSettings } from './check-signature.ts';
import { type FoundSignature, insert, moduleRefused } from './find-or-create-signature.ts';
import { requireName } from './parse-signature.ts';
import { specColumns } from './signature.ts';
import { findSignatureModule, type ModuleDeps } from './signature-modules.ts';

/** A registered signature module and what its signature is to be called. */
export type FromModuleInput = {
  readonly signatureModule: string;
  readonly name: string;
  readonly description: string;
  readonly version: string;
};

/**
 * Makes the signature, DRAFT, that a registered module declares, or finds it with the same fields. Fails with INVALID_REQUEST about
 * `signature_module` (`Invalid signature module: …`), and with NAME_TAKEN if the module stands for other fields or another name.
 */
export async function createSignatureFromModule(deps: ModuleDeps, input: FromModuleInput): Promise<FoundSignature> {
  const { signatureModule: module } = input;
  checkSignatureSettings(input).done();
  const lookup = await findSignatureModule(deps, module);
  if (lookup.kind !== 'found') throw moduleRefused(`Invalid signature module: ${lookup.problem}`);
  const { parsed } = lookup;
  const made = await insert(deps, module, parsed, {
    ...input,
    name: input.name || module.slice(0, 200),
    description: input.description || lookup.description,
  });
  if (made !== undefined) return { signature: made, created: true };
  const found = await deps.signatures.find(module);
  if (found === undefined) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
  if (found.spec !== specColumns(parsed).spec) {
    throw new AppError('NAME_TAKEN', `The module \`${module}\` is registered with other fields`, {
      metadata: { resource: module, signature_id: found.id },
    });
  }
  const result = { signature: found, created: false };
  requireName(result, input.name);
  return result;
}
