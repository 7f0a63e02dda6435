import type { JsonObject, JsonValue } from './json.ts';

/** What a specification takes, as an object type; any JSON object where the specification is known only at run time. */
export type InputsOf<Spec extends string> = string extends Spec
  ? JsonObject
  : Spec extends `${string}->${string}`
    ? ObjectOf<FieldsOf<Spec>>
    : JsonObject;

/** What a specification answers, as an object type; any JSON object where the specification is known only at run time. */
export type OutputsOf<Spec extends string> = string extends Spec
  ? JsonObject
  : RestAfterInputs<Spec> extends `->${infer Outputs}`
    ? ObjectOf<FieldsOf<Outputs>, true>
    : JsonObject;

/** A tensor's value: its numbers in a list, or packed in base64. */
export type Tensor =
  | { readonly shape: readonly Int[]; readonly dtype: string; readonly data: readonly JsonValue[] }
  | { readonly shape: readonly Int[]; readonly dtype: string; readonly bytes: string };

/** An integer: a number up to 2^53, a bigint beyond. */
export type Int = number | bigint;

// A field is [its name, its type, whether it may be left out].
type Field = readonly [name: string, type: unknown, isOptional: boolean];

type ObjectOf<Fields extends readonly Field[], All extends boolean = false> = Flat<
  { readonly [F in Fields[number] as IsOptional<F, All> extends true ? never : F[0]]: F[1] } & {
    readonly [F in Fields[number] as IsOptional<F, All> extends true ? F[0] : never]?: F[1];
  }
>;
type Flat<T> = { [K in keyof T]: T[K] };
// Outputs are all there. What admits None may be left out, but for Any.
type IsOptional<F extends Field, All> = All extends true
  ? false
  : F[2] extends true
    ? true
    : JsonValue extends F[1]
      ? false
      : null extends F[1]
        ? true
        : false;

type Space = ' ' | '\n' | '\t' | '\r';
type Delimiter = Space | ':' | ',' | '[' | ']' | '(' | ')' | '{' | '}' | '|' | '=' | "'" | '"' | '-';

type Trim<S extends string> = S extends `${Space}${infer Rest}` ? Trim<Rest> : S;

type TakeName<S extends string, Taken extends string = ''> = S extends `${infer Char}${infer Rest}`
  ? Char extends Delimiter
    ? [Taken, S]
    : TakeName<Rest, `${Taken}${Char}`>
  : [Taken, S];

type TakeQuoted<
  S extends string,
  Quote extends string,
  Taken extends string = '',
> = S extends `${infer Part}${Quote}${infer Rest}`
  ? Part extends `${string}\\`
    ? TakeQuoted<Rest, Quote, string>
    : [string extends Taken ? string : `${Taken}${Part}`, Rest]
  : [string, ''];

type FieldsOf<S extends string> = ReadFields<WithoutHead<Trim<S>>, []>[0];
type RestAfterInputs<S extends string> = ReadFields<WithoutHead<Trim<S>>, []>[1];
type WithoutHead<S extends string> = S extends `signature${Space}${infer Rest}`
  ? Trim<Rest> extends `:${string}` | `,${string}` | `->${string}` | `=${string}`
    ? S
    : Rest
  : S;

type ReadFields<S extends string, Read extends readonly Field[]> =
  Trim<S> extends '' | `->${string}`
    ? [Read, Trim<S>]
    : ReadField<Trim<S>> extends [infer F extends Field, infer Rest extends string]
      ? Trim<Rest> extends `,${infer Next}`
        ? ReadFields<Next, [...Read, F]>
        : [[...Read, F], Trim<Rest>]
      : [Read, ''];

type ReadField<S extends string> =
  TakeName<S> extends [infer Name extends string, infer Rest extends string]
    ? Trim<Rest> extends `:${infer Typed}`
      ? ReadType<Typed> extends [infer T, infer After extends string]
        ? FinishField<Name, T, Trim<SkipConstraints<Trim<After>>>>
        : never
      : FinishField<Name, string, Trim<SkipConstraints<Trim<Rest>>>>
    : never;

type FinishField<Name extends string, T, S extends string> = S extends `=${infer Value}`
  ? [[Name, T, true], SkipDescription<Trim<SkipValue<Trim<Value>>>>]
  : [[Name, T, false], SkipDescription<S>];

type SkipConstraints<S extends string> = S extends `(${string})${infer Rest}` ? Rest : S;
type SkipDescription<S extends string> = S extends `'${infer Rest}`
  ? TakeQuoted<Rest, "'">[1]
  : S extends `"${infer Rest}`
    ? TakeQuoted<Rest, '"'>[1]
    : S;

type SkipValue<S extends string> = S extends `'${infer Rest}`
  ? TakeQuoted<Rest, "'">[1]
  : S extends `"${infer Rest}`
    ? TakeQuoted<Rest, '"'>[1]
    : S extends `[${infer Rest}` | `{${infer Rest}`
      ? SkipItems<Trim<Rest>>
      : S extends `-${infer Rest}`
        ? SkipWord<Rest>
        : SkipWord<S>;
type SkipWord<S extends string> = TakeName<S>[1] extends infer Rest extends string
  ? Rest extends `-${infer Exponent}` // 1e-3
    ? TakeName<Exponent>[1]
    : Rest
  : never;
type SkipItems<S extends string> = S extends `]${infer Rest}` | `}${infer Rest}`
  ? Rest
  : S extends `,${infer Rest}` | `:${infer Rest}`
    ? SkipItems<Trim<Rest>>
    : SkipValue<S> extends infer Rest extends string
      ? Rest extends S | ''
        ? '' // not a value: nothing was taken
        : SkipItems<Trim<Rest>>
      : '';

type ReadType<S extends string, Members = never> =
  ReadAtom<Trim<S>> extends [infer T, infer Rest extends string]
    ? Trim<Rest> extends `|${infer More}`
      ? ReadType<More, Members | T>
      : [Members | T, Rest]
    : never;

type ReadAtom<S extends string> = S extends `:${infer Rest}`
  ? ReadAtom<Trim<Rest>>
  : TakeName<S> extends [infer Name extends string, infer Rest extends string]
    ? Trim<Rest> extends `[${infer Args}`
      ? ReadWithArguments<Name, Args>
      : [PlainType<Name>, Rest]
    : never;

type ReadWithArguments<Name extends string, S extends string> = Name extends 'Literal' | 'enum'
  ? ReadLiterals<Trim<S>>
  : Name extends 'embedding'
    ? S extends `${string}]${infer Rest}`
      ? [readonly number[], Rest]
      : never
    : ReadArguments<Trim<S>, []> extends [infer Args extends readonly unknown[], infer Rest]
      ? [Container<Name, Args>, Rest]
      : never;

type ReadArguments<S extends string, Read extends readonly unknown[]> = S extends `]${infer Rest}`
  ? [Read, Rest]
  : S extends `,${infer Rest}`
    ? ReadArguments<Trim<Rest>, Read>
    : S extends `...${infer Rest}`
      ? ReadArguments<Trim<Rest>, [...Read, Ellipsis]>
      : ReadType<S> extends [infer T, infer Rest extends string]
        ? Trim<Rest> extends ''
          ? [Read, '']
          : ReadArguments<Trim<Rest>, [...Read, T]>
        : [Read, ''];
type Ellipsis = { readonly ellipsis: unique symbol };

type ReadLiterals<S extends string, Members = never> = S extends `]${infer Rest}`
  ? [Members, Rest]
  : S extends `,${infer Rest}`
    ? ReadLiterals<Trim<Rest>, Members>
    : S extends `'${infer Rest}`
      ? NextLiteral<TakeQuoted<Rest, "'">, Members>
      : S extends `"${infer Rest}`
        ? NextLiteral<TakeQuoted<Rest, '"'>, Members>
        : S extends `-${infer Rest}`
          ? NextLiteral<[NumberOf<`-${TakeName<Rest>[0]}`>, TakeName<Rest>[1]], Members>
          : S extends ''
            ? [Members, '']
            : NextLiteral<[WordOf<TakeName<S>[0]>, TakeName<S>[1]], Members>;
type NextLiteral<Taken extends readonly [unknown, string], Members> = ReadLiterals<Trim<Taken[1]>, Members | Taken[0]>;
type WordOf<Word extends string> = Word extends 'True'
  ? true
  : Word extends 'False'
    ? false
    : Word extends 'None'
      ? null
      : NumberOf<Word>;
type NumberOf<Word extends string> = Word extends `${infer N extends number}` ? N : never;

type PlainTypes = {
  readonly str: string;
  readonly string: string;
  readonly int: Int;
  readonly integer: Int;
  readonly float: number;
  readonly number: number;
  readonly bool: boolean;
  readonly boolean: boolean;
  readonly None: null;
  readonly none: null;
  readonly probability: number;
  readonly embedding: readonly number[];
  readonly tensor: Tensor;
  readonly list: readonly JsonValue[];
  readonly List: readonly JsonValue[];
  readonly array: readonly JsonValue[];
  readonly set: readonly JsonValue[];
  readonly Set: readonly JsonValue[];
  readonly tuple: readonly JsonValue[];
  readonly Tuple: readonly JsonValue[];
  readonly dict: JsonObject;
  readonly Dict: JsonObject;
  readonly object: JsonObject;
};
type PlainType<Name extends string> = Name extends keyof PlainTypes ? PlainTypes[Name] : JsonValue;

type Container<Name extends string, Args extends readonly unknown[]> = Name extends
  | 'list'
  | 'List'
  | 'array'
  | 'set'
  | 'Set'
  ? readonly Args[0][]
  : Name extends 'dict' | 'Dict' | 'object'
    ? { readonly [key: string]: Args[1] }
    : Name extends 'tuple' | 'Tuple'
      ? Args extends readonly [infer T, Ellipsis]
        ? readonly T[]
        : Readonly<Args>
      : Name extends 'Optional'
        ? Args[0] | null
        : Name extends 'Union'
          ? Args[number]
          : JsonValue;
