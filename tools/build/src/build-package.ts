/**
 * `build-package.ts FOLDER`: fills `FOLDER/dist` with what `npm publish FOLDER/dist` puts out: one ES module of the package's own
 * code with its source map, a declaration file per source file, and a package.json whose exports name them. Dependencies stay imports.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build } from 'esbuild'
import { nodeBundle } from './bundle-options.ts'
import { publishedManifest } from './published-manifest.ts'
import { filesUnder, type OutputFile, writeOutputs } from './write-outputs.ts'

const root = join(import.meta.dirname, '../../..')

/** Declarations of every file that `src/index.ts` reaches inside the package, at their places below `dist/types`. */
function declarations(folder: string, directory: string): OutputFile[] {
  // Below node_modules, so that the compiler finds the type packages and no other tool sees the folder.
  const caches = join(root, 'node_modules/.cache')
  mkdirSync(caches, { recursive: true })
  const work = mkdtempSync(join(caches, 'declarations-'))
  try {
    const config = {
      extends: join(root, 'tsconfig.base.json'),
      files: [join(folder, 'src/index.ts')],
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: root,
        outDir: join(work, 'out'),
      },
    }
    writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(config))
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(work, 'tsconfig.json')], { stdio: 'inherit' })
    // The program holds the other workspace packages too; they bring their own declarations.
    const own = join(work, 'out', relative(root, folder), 'src')
    return filesUnder(own).map((path) => ({
      path: join(directory, 'types', relative(own, path)),
      contents: readFileSync(path),
    }))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Builds the workspace package in `folder` into `directory`, which then holds that and nothing else. */
export async function buildPackage(folder: string, directory: string): Promise<void> {
  const bundle = await build({
    ...nodeBundle,
    banner: {},
    entryPoints: { index: join(folder, 'src/index.ts') },
    outdir: directory,
    packages: 'external',
    absWorkingDir: root,
  })
  const manifest = publishedManifest(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
  const files: OutputFile[] = [
    ...bundle.outputFiles.map(({ path, contents }) => ({ path, contents })),
    ...declarations(folder, directory),
    { path: join(directory, 'package.json'), contents: `${JSON.stringify(manifest, null, 2)}\n` },
    { path: join(directory, 'LICENSE'), contents: readFileSync(join(root, 'LICENSE')) },
  ]
  const readme = join(folder, 'README.md')
  if (existsSync(readme)) files.push({ path: join(directory, 'README.md'), contents: readFileSync(readme) })
  writeOutputs(directory, files)
}

if (process.argv[1] === import.meta.filename) {
  const folder = process.argv[2]
  if (!folder) throw new Error('usage: build-package.ts FOLDER')
  await buildPackage(resolve(folder), resolve(folder, 'dist'))
}
