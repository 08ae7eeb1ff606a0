import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const YEOMAN = {
  regex: '^(yeoman-|@yeoman/)',
  message:
    'Yeoman is the shell in generators/ alone: without it the command starts in the time that Node needs.',
};

/** What Node itself defines, for the files that the compiler does not check. */
const nodeGlobals = Object.fromEntries(
  Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']),
);

const unused = ['error', { argsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' }];

/** Forbids a floor of the house what lies above it. */
const floor = (files, above, more = []) => ({
  files,
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...(above.length === 0
            ? []
            : [
                {
                  regex: `^\\.\\.?/(.*/)?(${above.join('|')})(/|\\.ts$)`,
                  message: 'Imports go down only: cli → generators → repository → rendering → deployment.',
                },
              ]),
          ...more,
        ],
      },
    ],
  },
});

export default defineConfig(
  globalIgnores(['dist/', 'templates/', 'coverage/', '.work/']),
  js.configs.recommended,
  {
    rules: {
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
      'prefer-const': 'error',
      'object-shorthand': 'error',
      // Control characters are what several checks look for.
      'no-control-regex': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: { globals: nodeGlobals },
    rules: { 'no-console': 'off', 'no-unused-vars': unused },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strict],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-unused-vars': unused,
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A test may say that a value is there: when it is not, the test fails as it should.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  floor(
    ['src/deployment/**/*.ts'],
    ['rendering', 'repository', 'generators', 'cli'],
    [
      YEOMAN,
      {
        regex: '^(node:)?(fs|child_process|net|http|https|os|process)(/|$)',
        message: 'What is deployed is pure: no I/O in src/deployment.',
      },
    ],
  ),
  floor(['src/rendering/**/*.ts'], ['repository', 'generators', 'cli'], [YEOMAN]),
  floor(['src/repository/**/*.ts'], ['generators', 'cli'], [YEOMAN]),
  floor(['generators/**/*.ts'], ['cli']),
  floor(['src/cli.ts', 'src/cli/**/*.ts'], [], [YEOMAN]),
);
