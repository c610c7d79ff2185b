/**
 * Who may import whom: the one reviewed list. A folder imports of ours only what its row names, and only through the other
 * package's `src/index.ts`; a row's `external` column says which of the guarded Node modules and libraries it may use. What is not
 * guarded (`node:path`, `zod` …) is free. Tests may also use the file system, processes and vitest.
 */

/** Folder → the workspace folders that it may import. */
const layers = {
  'packages/base': [],
  'packages/protocol': ['packages/base'],
  'packages/consensus': ['packages/base'],
  'packages/storage': ['packages/base', 'packages/protocol'],
  'packages/broker': ['packages/base', 'packages/protocol', 'packages/consensus', 'packages/storage'],
  'packages/client': ['packages/base', 'packages/protocol'],
  'apps/broker': ['packages/base', 'packages/protocol', 'packages/consensus', 'packages/storage', 'packages/broker'],
  'apps/cli': ['packages/base', 'packages/protocol', 'packages/storage', 'packages/client', 'apps/broker'],
  'packages/simulator': [
    'packages/base',
    'packages/protocol',
    'packages/consensus',
    'packages/storage',
    'packages/broker',
    'packages/client',
  ],
  'tools/build': [],
  'tools/bench': ['packages/protocol'],
  'tools/generate': ['packages/protocol'],
  'tools/reliability': ['packages/base', 'packages/protocol', 'packages/storage', 'packages/broker', 'e2e'],
  'tools/vectors': ['packages/protocol', 'packages/base'],
  e2e: ['packages/base', 'packages/protocol', 'packages/client'],
}

/** Guarded module → the only places (path prefixes) that may import it outside tests. */
const guarded = {
  'node:fs': [
    'packages/simulator/src/command/',
    'packages/base/src/disk/',
    'packages/consensus/src/log/',
    'apps/',
    'tools/',
    'e2e/',
  ],
  'node:fs/promises': ['packages/base/src/disk/', 'apps/', 'tools/', 'e2e/'],
  'node:net': [
    'packages/broker/src/network/',
    'packages/consensus/src/transport/',
    'packages/client/src/network/',
    'apps/',
    'tools/',
    'e2e/',
  ],
  'node:tls': [
    'packages/broker/src/network/',
    'packages/consensus/src/transport/',
    'packages/client/src/network/',
    'apps/',
    'tools/',
    'e2e/',
  ],
  'node:http': [
    'packages/broker/src/network/',
    'packages/consensus/src/transport/',
    'packages/broker/src/http/',
    'apps/',
    'tools/',
    'e2e/',
  ],
  'node:child_process': ['packages/simulator/src/command/', 'apps/', 'tools/', 'e2e/'],
  'node:worker_threads': ['packages/base/src/', 'apps/', 'tools/', 'e2e/'],
  'node:zlib': ['packages/protocol/src/', 'tools/', 'e2e/'],
  'node:crypto': [
    'packages/base/src/',
    'packages/consensus/src/transport/',
    'packages/protocol/src/',
    'packages/broker/src/replication/broker-proof.ts',
    'apps/',
    'tools/',
    'e2e/',
  ],
  'node:timers': ['packages/base/src/', 'apps/', 'tools/', 'e2e/'],
  'node:timers/promises': ['packages/base/src/', 'apps/', 'tools/', 'e2e/'],
  'node:process': ['apps/', 'tools/', 'e2e/'],
  koffi: ['packages/base/src/disk/'],
  lmdb: ['packages/consensus/src/log/'],
  ws: ['packages/consensus/src/transport/', 'packages/broker/src/network/'],
  snappy: ['packages/protocol/src/', 'e2e/'],
  'lz4-napi': ['packages/protocol/src/', 'e2e/'],
  '@node-rs/crc32': ['packages/protocol/src/', 'packages/base/src/'],
  fastify: ['packages/broker/src/http/', 'packages/broker/src/network/', 'apps/broker/'],
  'prom-client': ['packages/broker/src/metrics/', 'apps/broker/'],
  pino: ['apps/broker/'],
  re2js: ['packages/broker/src/coordinator/group/consumer/'],
  commander: ['apps/cli/'],
  esbuild: ['tools/build/'],
}

const tests = '\\.(test|prop\\.test|fuzz|bench)\\.ts$|/testing/'
const ours = '^(packages|apps|tools|e2e)/'
const quote = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
const prefixes = (folders) => folders.map((folder) => `^${quote(folder)}`)

const layerRules = Object.entries(layers).map(([folder, allowed]) => ({
  name: `layer-${folder}`,
  comment: `${folder} imports of ours only: ${allowed.join(', ') || 'nothing'}`,
  severity: 'error',
  from: { path: `^${quote(folder)}/` },
  to: { path: ours, pathNot: prefixes([folder, ...allowed].map((name) => `${name}/`)) },
}))

// A folder without a row could import anything: it fails until it has one.
const unlisted = {
  name: 'unlisted-folder',
  comment: 'Every workspace folder has a row in the table of layers',
  severity: 'error',
  from: { path: ours, pathNot: prefixes(Object.keys(layers).map((name) => `${name}/`)) },
  to: {},
}

/** Second doors, for tools and for what only tests use: what nothing shipped needs stays out of the index. */
const sideDoorUsers = '^tools/|^packages/simulator/|/testing/'
const sideDoors = {
  'packages/protocol': ['src/schema/index.ts'],
  'packages/storage': ['src/testing/index.ts'],
  'packages/broker': ['src/testing/index.ts'],
  e2e: ['index.ts'],
}

const doorRule = (name, folder, from, entries) => ({
  name,
  comment: `${folder} is imported through ${entries.join(' and ')} only`,
  severity: 'error',
  from,
  to: { path: `^${quote(folder)}/`, pathNot: entries.map((entry) => `^${quote(folder)}/${quote(entry)}$`) },
})

const doors = Object.keys(layers).flatMap((folder) => {
  const name = `door-${folder}`
  const side = sideDoors[folder]
  const own = `^${quote(folder)}/`
  if (side === undefined) return [doorRule(name, folder, { path: ours, pathNot: [own] }, ['src/index.ts'])]
  return [
    doorRule(name, folder, { path: ours, pathNot: [own, sideDoorUsers] }, ['src/index.ts']),
    doorRule(name, folder, { path: sideDoorUsers, pathNot: [own] }, ['src/index.ts', ...side]),
  ]
})

const guards = Object.entries(guarded).map(([name, places]) => ({
  name: `guarded-${name}`,
  comment: `${name} is imported only in ${places.join(', ')}`,
  severity: 'error',
  from: { path: ours, pathNot: [...prefixes(places), ...(name.startsWith('node:') ? [tests] : [])] },
  to: name.startsWith('node:')
    ? { dependencyTypes: ['core'], path: `^(node:)?${quote(name.slice('node:'.length))}$` }
    : { path: `(^|/)node_modules/${quote(name)}/|^${quote(name)}$` },
}))

export default {
  forbidden: [
    ...layerRules,
    unlisted,
    ...doors,
    ...guards,
    {
      name: 'no-cycle',
      comment: 'Type imports count: files that cannot be understood one without the other are one file',
      severity: 'error',
      from: { path: ours },
      to: { circular: true },
    },
    {
      name: 'no-unresolved',
      comment: 'An import that cannot be resolved escapes every rule above',
      severity: 'error',
      from: { path: ours },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-test-in-shipped-code',
      severity: 'error',
      from: { path: '^(packages|apps)/', pathNot: [tests, '^packages/simulator/'] },
      to: { path: [tests, '(^|/)node_modules/(vitest|fast-check)/'] },
    },
    {
      name: 'no-undeclared-package',
      comment: 'What a package.json does not name is found only by chance',
      severity: 'error',
      from: { path: ours, pathNot: tests },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: '(^|/)node_modules/' },
    exclude: { path: '/dist/|/testdata/' },
    combinedDependencies: true,
    // TypeScript 7 has no compiler API: swc reads the sources. Workspace links resolve through `exports` to the sources.
    parser: 'swc',
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mjs', '.js', '.cjs', '.json', '.node'],
    },
  },
}
