import { invalidField } from '@signet/kit/error/app-error.ts';
import {
  type Signature as WireSignature,
  SignatureStatus as WireStatus,
  type SignatureVersion as WireVersion,
} from '@signet/proto/gen/signet/v1/signature.ts';
import type {
  CreateSignatureFromModuleRequest,
  ListSignaturesRequest,
  ParseSignatureRequest,
  UpdateSignatureRequest,
} from '@signet/proto/gen/signet/v1/signature_service.ts';
import { plainFromJson } from '@signet/signature/json.ts';
import { toJsonSchema } from '@signet/signature/json-schema.ts';
import { toParsedSpec } from '@signet/signature/parsed-spec.ts';
import { etagOf } from '../check/etag.ts';
import type { FromModuleInput } from './create-signature-from-module.ts';
import type { ParseSignatureInput } from './parse-signature.ts';
import type { ListSignaturesInput } from './read-signatures.ts';
import { readSpec, type Signature, type SignatureStatus, type SignatureVersion } from './signature.ts';
import type { SignatureField, UpdateSignatureInput } from './update-signature.ts';

const statuses: Record<SignatureStatus, WireStatus> = {
  draft: WireStatus.SIGNATURE_STATUS_DRAFT,
  active: WireStatus.SIGNATURE_STATUS_ACTIVE,
  deprecated: WireStatus.SIGNATURE_STATUS_DEPRECATED,
};

type Derived = Pick<WireSignature, 'parsedSpec' | 'inputsSchema' | 'outputsSchema'>;

// What a specification says as trees is asked again and again and never changes.
const derivedMax = 500;
const derivedCache = new Map<string, Derived>();

function derive({ spec, strictMode, mlTypes }: Signature): Derived {
  const key = `${strictMode}:${mlTypes.join(',')}:${spec}`;
  const known = derivedCache.get(key);
  if (known !== undefined) return known;
  const parsed = readSpec(spec, mlTypes);
  const derived = {
    parsedSpec: plainFromJson(toParsedSpec(parsed)) as Derived['parsedSpec'],
    inputsSchema: plainFromJson(toJsonSchema(parsed.inputs, { strictMode })) as Derived['inputsSchema'],
    outputsSchema: plainFromJson(toJsonSchema(parsed.outputs, { strictMode })) as Derived['outputsSchema'],
  };
  if (derivedCache.size >= derivedMax) derivedCache.clear();
  derivedCache.set(key, derived);
  return derived;
}

/** Writes a signature; one that was only looked at has no id, etag and times. */
export function toWireSignature(signature: Signature): WireSignature {
  const { id, createTime, updateTime } = signature;
  return {
    id,
    name: signature.name,
    module: signature.module,
    spec: signature.spec,
    description: signature.description,
    version: signature.version,
    status: statuses[signature.status],
    inputs: signature.inputs.map((field) => ({ ...field, constraints: [...field.constraints] })),
    outputs: signature.outputs.map((field) => ({ ...field, constraints: [...field.constraints] })),
    metadata: signature.metadata,
    strictMode: signature.strictMode,
    mlTypes: signature.mlTypes,
    complexity: signature.complexity,
    labels: signature.labels,
    ...derive(signature),
    etag: id === '' ? '' : etagOf(signature),
    createTime: id === '' ? undefined : createTime,
    updateTime: id === '' ? undefined : updateTime,
  };
}

/** Writes a snapshot of a signature. */
export function toWireSignatureVersion(version: SignatureVersion): WireVersion {
  const { id, signatureId, revision, createTime } = version;
  return { id, signatureId, revision, createTime, signature: toWireSignature(version.signature) };
}

/** Reads a request to parse a signature. */
export function readParse(request: ParseSignatureRequest): ParseSignatureInput {
  const { spec, parser, name, description, validateOnly, strictMode, mlTypes, labels, metadata } = request;
  return {
    spec,
    parser,
    name,
    description,
    validateOnly,
    mlTypes,
    labels,
    ...(strictMode === undefined ? {} : { strictMode }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** Reads a request to make a signature from a module. */
export function readFromModule(request: CreateSignatureFromModuleRequest): FromModuleInput {
  const { signatureModule, name, description, version } = request;
  return { signatureModule, name, description, version };
}

/** Reads a request for a page of signatures; INVALID_REQUEST for a status that nobody knows. */
export function readList(request: ListSignaturesRequest): ListSignaturesInput {
  const { pageSize, pageToken, filter, orderBy, name, status } = request;
  return { pageSize, pageToken, filter, orderBy, name, status: readStatus(status) };
}

function readStatus(wire: number): SignatureStatus | undefined {
  if (wire === 0) return undefined;
  const found = (Object.keys(statuses) as SignatureStatus[]).find((status) => statuses[status] === wire);
  if (found === undefined) throw invalidField('status', 'is not a known value', 'UNKNOWN_VALUE');
  return found;
}

/** Reads a request to change a signature. */
export function readUpdate(request: UpdateSignatureRequest): UpdateSignatureInput {
  const { signature, etag, updateMask, name, spec, description, version, strictMode, mlTypes, labels, metadata } =
    request;
  const given: Record<SignatureField, boolean> = {
    name: name !== undefined,
    spec: spec !== undefined,
    description: description !== undefined,
    version: version !== undefined,
    strict_mode: strictMode !== undefined,
    ml_types: mlTypes.length > 0,
    labels: Object.keys(labels).length > 0,
    metadata: metadata !== undefined,
  };
  return {
    signature,
    etag,
    updateMask,
    set: (Object.keys(given) as SignatureField[]).filter((field) => given[field]),
    name: name ?? '',
    spec: spec ?? '',
    description: description ?? '',
    version: version ?? '',
    strictMode: strictMode ?? true,
    mlTypes,
    labels,
    metadata: metadata ?? {},
  };
}
