import type { OptimizerType } from './optimizer.ts';

/** A setting: its type, its bounds, and what it is if nothing is set (absent: the optimizer decides). */
export type KindKey = {
  readonly name: string;
  readonly type: 'integer' | 'number' | 'boolean' | 'text' | 'choice' | 'list' | 'object';
  readonly minimum?: number;
  readonly maximum?: number;
  /** Of a choice, or of the items of a list. */
  readonly choices?: readonly string[];
  readonly defaultValue?: boolean | number | string | readonly string[];
  readonly description: string;
  readonly required?: boolean;
};

/** A kind of optimizers: what runs, what of a program it changes, and what can be set. */
export type Kind = {
  readonly implementation: string;
  readonly description: string;
  readonly changes: readonly ('instructions' | 'demos')[];
  readonly keys: readonly KindKey[];
};

/** The demos that a version may have: no optimizer may make more. */
export const demosMax = 64;

type Bounds = Pick<KindKey, 'minimum' | 'maximum'>;
const integer = (name: string, at: number | undefined, bounds: Bounds, description: string): KindKey => ({
  ...{ name, type: 'integer', ...bounds, description },
  ...(at === undefined ? {} : { defaultValue: at }),
});
const number = (name: string, at: number | undefined, bounds: Bounds, description: string): KindKey => ({
  ...integer(name, at, bounds, description),
  type: 'number',
});
const flag = (name: string, at: boolean, description: string): KindKey => ({
  ...{ name, type: 'boolean', defaultValue: at, description },
});
const choice = (name: string, choices: readonly string[], at: string | undefined, description: string): KindKey => ({
  ...{ name, type: 'choice', choices, description },
  ...(at === undefined ? {} : { defaultValue: at }),
});
const to = (minimum: number, maximum: number): Bounds => ({ minimum, maximum });

const threads = integer('num_threads', 1, to(1, 16), 'How many examples are run at once.');
const errors = integer('max_errors', 10, to(0, 10_000), 'How many failed examples end it.');
const threshold = number('metric_threshold', undefined, to(0, 1), 'From which score on an answer makes a demo.');
const bootstrapped = (at: number, least = 0): KindKey =>
  integer('max_bootstrapped_demos', at, to(least, 32), 'How many demos the program itself may make.');
const labeled = (at: number): KindKey =>
  integer('max_labeled_demos', at, to(0, demosMax), 'How many demos may be examples as they are.');
const proposer: KindKey = {
  ...{ name: 'prompt_lm', type: 'text' },
  description: "Slug of the language model that proposes and reflects; the program's if empty.",
};
const teacher: KindKey = {
  ...{ name: 'teacher_lm', type: 'text' },
  description: "Slug of the language model that shows how it is done; the program's if empty.",
};
const rounds = integer('max_rounds', 1, to(1, 10), 'How often a failed example is tried again.');
const levels = ['light', 'medium', 'heavy'];

/** Every kind by its name: the one table from which settings are checked, listed and documented. */
export const kinds: Readonly<Record<OptimizerType, Kind>> = {
  labeled_few_shot: {
    implementation: 'dspy.LabeledFewShot',
    description: 'Puts examples of the training split into the prompt as they are. Asks no language model.',
    changes: ['demos'],
    keys: [
      integer('k', 16, to(1, demosMax), 'How many.'),
      flag('sample', true, 'True takes them at random, false takes the first ones.'),
    ],
  },
  bootstrap: {
    implementation: 'dspy.BootstrapFewShot',
    description: 'Runs the program over training examples and puts what it gets right into the prompt.',
    changes: ['demos'],
    keys: [bootstrapped(4), labeled(16), rounds, threshold, errors, teacher],
  },
  random_search: {
    implementation: 'dspy.BootstrapFewShotWithRandomSearch',
    description: 'Bootstraps many sets of demos and keeps the one that scores best on the validation split.',
    changes: ['demos'],
    keys: [
      integer('num_candidate_programs', 16, to(1, 200), 'How many sets.'),
      ...[bootstrapped(4, 1), labeled(16), rounds, threshold, threads, errors, teacher],
    ],
  },
  infer_rules: {
    implementation: 'dspy.InferRules',
    description: 'Has rules inferred from demos and appends them to the instructions.',
    changes: ['demos', 'instructions'],
    keys: [
      integer('num_candidates', 10, to(1, 50), 'How many programs are made.'),
      integer('num_rules', 10, to(1, 50), 'How many rules each has.'),
      ...[bootstrapped(4), labeled(16), rounds, threshold, threads, errors, proposer, teacher],
    ],
  },
  copro: {
    implementation: 'dspy.COPRO',
    description: 'Has instructions proposed, tries them, and has better ones proposed from what was seen.',
    changes: ['instructions'],
    keys: [
      integer('breadth', 10, to(2, 50), 'How many instructions are proposed at a time.'),
      integer('depth', 3, to(1, 20), 'How often.'),
      number('init_temperature', 1.4, to(0, 2), 'The temperature of the proposals.'),
      ...[threads, proposer],
    ],
  },
  mipro: {
    implementation: 'dspy.MIPROv2',
    description: 'Searches instructions and demos together.',
    changes: ['instructions', 'demos'],
    keys: [
      choice('auto', levels, 'light', 'How much is tried; goes with neither num_candidates nor num_trials.'),
      integer('num_candidates', undefined, to(1, 100), 'How many instructions and sets of demos; needs num_trials.'),
      integer('num_trials', undefined, to(1, 1000), 'How many combinations; needs num_candidates.'),
      ...[bootstrapped(4), labeled(4)],
      flag('minibatch', true, 'True tries combinations on a part of the validation split first.'),
      integer('minibatch_size', 35, to(1, 1000), 'How large that part is; at most the whole.'),
      integer('minibatch_full_eval_steps', 5, to(1, 100), 'After how many trials the best one is tried on the whole.'),
      number('init_temperature', 1, to(0, 2), 'The temperature of the proposals.'),
      flag('program_aware_proposer', true, 'Shows the program to the proposing model.'),
      flag('data_aware_proposer', true, 'Shows a summary of the data.'),
      flag('tip_aware_proposer', true, 'Gives it a tip.'),
      flag('fewshot_aware_proposer', true, 'Shows it demos.'),
      integer('view_data_batch_size', 10, to(1, 100), 'How many examples it sees at a time.'),
      ...[threshold, threads, errors, proposer, teacher],
    ],
  },
  gepa: {
    implementation: 'dspy.GEPA',
    description: 'Has instructions rewritten by reflecting on what went wrong, and keeps what is best at something.',
    changes: ['instructions'],
    keys: [
      choice('auto', levels, undefined, 'How much is tried; light if none of the three bounds is set.'),
      integer('max_full_evals', undefined, to(1, 1000), 'How many times the whole validation split is tried.'),
      integer('max_metric_calls', undefined, to(1, 1_000_000), 'How many examples are tried.'),
      integer('reflection_minibatch_size', 3, to(1, 100), 'How many examples are reflected on at a time.'),
      choice('candidate_selection_strategy', ['pareto', 'current_best'], 'pareto', 'Which candidate is improved.'),
      choice('component_selector', ['round_robin', 'all'], 'round_robin', 'Which predictors are improved.'),
      flag('skip_perfect_score', true, 'Leaves out what is right already.'),
      flag('add_format_failure_as_feedback', false, 'Reflects on replies that could not be read too.'),
      flag('use_merge', true, 'Joins candidates that are best at different things.'),
      integer('max_merge_invocations', 5, to(0, 100), 'How often.'),
      ...[threads, proposer],
    ],
  },
  simba: {
    implementation: 'dspy.SIMBA',
    description: 'Looks at examples on which the program is of two minds, and adds rules or demos from them.',
    changes: ['instructions', 'demos'],
    keys: [
      integer('bsize', 32, to(1, 1000), 'How many examples a step looks at; at most the training split.'),
      integer('num_candidates', 6, to(1, 50), 'How many candidates a step makes.'),
      integer('max_steps', 8, to(1, 100), 'How many steps.'),
      integer('max_demos', 4, to(0, 32), 'How many demos it may add.'),
      integer('demo_input_field_maxlen', 100_000, to(1, 1_000_000), 'How long an input of a demo may be.'),
      number('temperature_for_sampling', 0.2, to(0.001, 2), 'How freely candidates are chosen.'),
      number('temperature_for_candidates', 0.2, to(0.001, 2), 'How freely they are improved.'),
      ...[threads, proposer],
    ],
  },
  beacon: {
    implementation: 'signet',
    description: 'Begins with what costs nothing and goes on, within the budget, as long as the score rises.',
    changes: ['instructions', 'demos'],
    keys: [
      {
        ...{ name: 'steps', type: 'list' },
        choices: ['labeled_few_shot', 'bootstrap', 'random_search', 'infer_rules', 'copro', 'mipro', 'gepa', 'simba'],
        defaultValue: ['labeled_few_shot', 'bootstrap', 'random_search', 'mipro', 'gepa', 'simba'],
        description: 'What is tried, in this order; each begins with the best that was found before.',
      },
      integer('patience', 2, to(1, 10), 'How many steps may bring nothing before it stops.'),
      number('min_gain', 0, to(0, 1), 'By how much the score must rise for a step to have brought something.'),
      integer('max_demos', 4, to(1, 32), 'How many demos a step may use.'),
      ...[threads, proposer, teacher],
    ],
  },
  custom: {
    implementation: 'allow-list',
    description: "One of the operator's own, by its name on the sidecar's allow-list.",
    changes: [],
    keys: [
      { name: 'name', type: 'text', required: true, description: 'Its name on the allow-list.' },
      { name: 'kwargs', type: 'object', description: 'Keyword arguments of its constructor, or of the function.' },
      threads,
    ],
  },
};

const splits = ['train', 'validation', 'test'];

/** The rules by which a job's metric may score, by their short words. */
export const metricKinds: readonly string[] = [
  ...['exact_match', 'f1', 'contains', 'json_field', 'numeric', 'lm_judge', 'dspy', 'python'],
];

/** The caps that a budget may have, with the most that each may be. */
export const budgetCaps = { lm_calls: 1_000_000, tokens: 1_000_000_000_000, usd: 1_000_000, seconds: 72_000 } as const;

/** What jobs find in the settings of every kind where their request leaves it out. */
export const jobKeys: readonly KindKey[] = [
  { name: 'dataset', type: 'text', description: 'Id or slug of the dataset.' },
  integer('dataset_version', 0, to(0, 1_000_000_000), 'Its version; 0 means the newest.'),
  { name: 'train_splits', type: 'list', choices: splits, description: 'What is learned from.' },
  { name: 'validation_splits', type: 'list', choices: splits, description: 'What candidates are compared by.' },
  { name: 'test_splits', type: 'list', choices: splits, description: 'What before and after are measured on.' },
  { name: 'metric', type: 'object', description: 'By what answers are scored.' },
  { name: 'budget', type: 'object', description: `What may be spent: ${Object.keys(budgetCaps).join(', ')}.` },
  integer('seed', 0, to(0, Number.MAX_SAFE_INTEGER), 'Where all that is random begins.'),
];
