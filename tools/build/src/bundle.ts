/**
 * Bundles the command line and the broker into `apps/cli/dist/millrace.js`. Importing the sources one by one costs more than the
 * whole start may take. Code behind a dynamic `import()` goes to chunks of its own, so `start` reads no other command's code.
 * Runs at `npm ci` (script `prepare`), on the pinned Node.
 */
import { join } from 'node:path'
import { build } from 'esbuild'
import { nativePackages, nodeBundle } from './bundle-options.ts'
import { primeCompileCache } from './prime-compile-cache.ts'
import { writeOutputs } from './write-outputs.ts'

const root = join(import.meta.dirname, '../../..')
const directory = join(root, 'apps/cli/dist')

const result = await build({
  ...nodeBundle,
  entryPoints: { millrace: join(root, 'apps/cli/src/main.ts') },
  outdir: directory,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  external: [...nativePackages],
  absWorkingDir: root,
})
writeOutputs(directory, result.outputFiles)
const failure = await primeCompileCache(join(root, 'apps/cli/bin/millrace.mjs'))
if (failure !== null) {
  console.warn(
    `the broker could not be started once to warm its compile cache (${failure}): its first start will be slower`,
  )
}
