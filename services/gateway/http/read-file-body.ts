import { BinaryReader } from '@bufbuild/protobuf/wire';

/** One piece of a file, as google.api.HttpBody holds it. */
export type FileBody = { readonly contentType: string; readonly data: Uint8Array };

const noBytes = new Uint8Array();
const contentTypeField = 1;
const dataField = 2;

/** Reads a google.api.HttpBody without copying its data. A type that no header can hold is read as none. */
export function readFileBody(bytes: Uint8Array): FileBody {
  const reader = new BinaryReader(bytes);
  let contentType = '';
  let data: Uint8Array = noBytes;
  while (reader.pos < bytes.length) {
    const [number, wireType] = reader.tag();
    if (number === contentTypeField) contentType = reader.string();
    else if (number === dataField) data = reader.bytes();
    else reader.skip(wireType, number);
  }
  return { contentType: /^[\x20-\x7e]{0,200}$/.test(contentType) ? contentType : '', data };
}
