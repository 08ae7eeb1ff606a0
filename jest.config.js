/** One project a test layer, so that each layer can be run alone. */
const layer = (name, extra = {}) => ({
  displayName: name,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  ...extra,
});

export default {
  projects: [
    layer('unit'),
    layer('snapshot'),
    layer('system', {
      globalSetup: '<rootDir>/test/system/engine/globalSetup.js',
      globalTeardown: '<rootDir>/test/system/engine/globalTeardown.js',
    }),
    layer('package'),
  ],
};
