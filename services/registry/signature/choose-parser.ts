import { invalidField } from '@signet/kit/error/app-error.ts';
import { isParserName, type ParserName, parserNames } from '@signet/signature/parse-with.ts';

/** The parser that a request names, or the configured one if it names none; INVALID_REQUEST for one that nobody knows. */
export function chooseParser(
  deps: { readonly signatureParser: ParserName },
  named: string,
  field = 'parser',
): ParserName {
  if (named === '') return deps.signatureParser;
  if (isParserName(named)) return named;
  throw invalidField(field, `must be one of ${parserNames.join(', ')}`, 'UNKNOWN_VALUE');
}
