import { expect, expectTypeOf, it } from 'vitest';
import type { JsonObject, JsonValue } from './json.ts';
import { signature } from './signature.ts';
import type { InputsOf, Int, OutputsOf, Tensor } from './spec-types.ts';

// What stands in `expectTypeOf` is checked by tsc: a wrong type fails `npm run check`.
it('infers inputs and outputs from the text of a signature', () => {
  const qa = signature('question: str, context: list[str] -> answer: str, confidence: float');
  type Inputs = InputsOf<typeof qa.spec>;
  expectTypeOf<Inputs>().toEqualTypeOf<{ readonly question: string; readonly context: readonly string[] }>();
  expectTypeOf<OutputsOf<typeof qa.spec>>().toEqualTypeOf<{ readonly answer: string; readonly confidence: number }>();
  expectTypeOf(qa.inputs).toEqualTypeOf<readonly ('question' | 'context')[]>();
  expect(qa).toMatchObject({ inputs: ['question', 'context'], outputs: ['answer', 'confidence'] });
});

it('reads every type of the language', () => {
  type All = InputsOf<`
    signature a, b: int, c: bool, d: Any, e: dict[str, list[int]], f: tuple[str, int], g: tuple[float, ...],
    h: Literal['x', "y, z", 3, -1, True, None], i: str | None, j: Union[int, str], k: Optional[list[dict[str, bool]]],
    l: embedding[768], m: tensor, n: set[str], o: probability, p: :string, q: List, r: enum['a'] -> z
  `>;
  expectTypeOf<All>().toEqualTypeOf<{
    readonly a: string;
    readonly b: Int;
    readonly c: boolean;
    readonly d: JsonValue;
    readonly e: { readonly [key: string]: readonly Int[] };
    readonly f: readonly [string, Int];
    readonly g: readonly number[];
    readonly h?: 'x' | 'y, z' | 3 | -1 | true | null;
    readonly i?: string | null;
    readonly j: Int | string;
    readonly k?: readonly { readonly [key: string]: boolean }[] | null;
    readonly l: readonly number[];
    readonly m: Tensor;
    readonly n: readonly string[];
    readonly o: number;
    readonly p: string;
    readonly q: readonly JsonValue[];
    readonly r: 'a';
  }>();
});

it('sees through constraints, defaults and descriptions, whatever stands in them', () => {
  type Spec =
    `n: int(ge=1, le=10) = 3 'how many -> or ]', s: str = "a, b: c" 'it\\'s', l: list[str] = ['x, y', 'z'] 'l', d: dict = {'k': [1, 2]}, x: float = -1.5e-3, q -> answer: str 'the, answer', score: float(ge=0, le=1)`;
  expectTypeOf<InputsOf<Spec>>().toEqualTypeOf<{
    readonly q: string;
    readonly n?: Int;
    readonly s?: string;
    readonly l?: readonly string[];
    readonly d?: JsonObject;
    readonly x?: number;
  }>();
  expectTypeOf<OutputsOf<Spec>>().toEqualTypeOf<{ readonly answer: string; readonly score: number }>();
});

it('takes any object where the text is known only at run time', () => {
  const read = signature(['a', 'b'].join(' -> '));
  expectTypeOf<InputsOf<typeof read.spec>>().toEqualTypeOf<JsonObject>();
  expectTypeOf<OutputsOf<typeof read.spec>>().toEqualTypeOf<JsonObject>();
  expect(read.outputs).toEqual(['b']);
});

it('keeps up with the longest of signatures', () => {
  type Ten<P extends string> =
    `${P}0: str, ${P}1: int, ${P}2: list[str], ${P}3: str | None, ${P}4: float, ${P}5, ${P}6: bool, ${P}7: dict[str, int], ${P}8: Literal['a', 'b'], ${P}9: int = 3`;
  type Spec = `${Ten<'a'>}, ${Ten<'b'>}, ${Ten<'c'>}, ${Ten<'d'>}, ${Ten<'e'>} -> ${Ten<'z'>}`;
  expectTypeOf<InputsOf<Spec>['e8']>().toEqualTypeOf<'a' | 'b'>();
  expectTypeOf<OutputsOf<Spec>['z9']>().toEqualTypeOf<Int>();
});

it('refuses at once what is no signature', () => {
  expect(() => signature('a: strng -> b')).toThrow('line 1, column 4: unknown type `strng`');
});
