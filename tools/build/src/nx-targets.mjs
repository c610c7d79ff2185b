/**
 * Gives every workspace project the same nx targets, so that no package.json repeats them. What they run stands in nx.json under
 * `targetDefaults`, but for `build`, which differs by kind of project. Plain JavaScript, since nx loads plugins on its own.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** @type {import('nx/src/devkit-exports').CreateNodesV2} */
export const createNodesV2 = [
  '{packages,apps,tools}/*/package.json',
  (manifests, _options, context) =>
    manifests.map((manifest) => {
      const root = dirname(manifest)
      const targets = { lint: {} }
      if (existsSync(join(context.workspaceRoot, root, 'src'))) Object.assign(targets, { typecheck: {}, test: {} })
      const command = buildCommand(root)
      if (command) Object.assign(targets, { build: { executor: 'nx:run-commands', options: { command } } })
      if (root === 'tools/bench') {
        Object.assign(targets, {
          bench: { executor: 'nx:run-commands', options: { command: 'node tools/bench/src/main.ts' } },
        })
      }
      return [manifest, { projects: { [root]: { targets } } }]
    }),
]

/** Packages are published; the broker is part of the command line's bundle. */
function buildCommand(root) {
  if (root.startsWith('packages/')) return `node tools/build/src/build-package.ts ${root}`
  return root === 'apps/cli' ? 'node tools/build/src/bundle.ts' : null
}
