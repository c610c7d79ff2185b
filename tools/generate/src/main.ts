import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { apiVersionsDocument } from './api-versions.ts'
import { generatedSources } from './outputs.ts'
import { securityDocument } from './permissions.ts'

/**
 * Writes all generated files of the workspace; with `--check` it changes nothing and fails when one is missing, differs or is
 * left over from a schema that is gone.
 */
const root = fileURLToPath(new URL('../../../', import.meta.url))
const isCheck = process.argv.includes('--check')

const wanted = format(generatedSources())
const document = await apiVersionsDocument(root)
if (document !== null) wanted.set('docs/api-versions.md', document)
const security = await securityDocument(root)
if (security !== null) wanted.set('docs/security.md', security)

const stale: string[] = []
for (const [path, content] of wanted) {
  const target = join(root, path)
  if (existsSync(target) && readFileSync(target, 'utf8') === content) continue
  stale.push(path)
  if (isCheck) continue
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, content)
}
const leftOver = listGenerated().filter((path) => !wanted.has(path))
if (!isCheck) for (const path of leftOver) rmSync(join(root, path))

for (const path of stale) console.log(`${isCheck ? 'stale' : 'wrote'} ${path}`)
for (const path of leftOver) console.log(`${isCheck ? 'left over' : 'removed'} ${path}`)
console.log(`${wanted.size} generated files, ${stale.length + leftOver.length} ${isCheck ? 'not fresh' : 'changed'}`)
if (isCheck && stale.length + leftOver.length > 0) process.exitCode = 1

/** Formats sources as the workspace's formatter does, in a folder of their own: a check must not touch the tree. */
function format(sources: ReadonlyMap<string, string>): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'generate-'))
  try {
    writeFileSync(join(folder, 'biome.json'), formatterSettings())
    for (const [path, content] of sources) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), content)
    }
    const biome = join(root, 'node_modules/.bin/biome')
    const result = spawnSync(biome, ['check', '--write', '--error-on-warnings', '.'], { cwd: folder, encoding: 'utf8' })
    if (result.status !== 0) throw new Error(`the formatter refuses the generated code:\n${result.stderr}`)
    return new Map([...sources.keys()].map((path) => [path, readFileSync(join(folder, path), 'utf8')]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The workspace's settings without those that need its repository. */
function formatterSettings(): string {
  const settings = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as Record<string, unknown>
  const { vcs: _vcs, $schema: _schema, ...rest } = settings
  return JSON.stringify(rest)
}

function listGenerated(): string[] {
  const folder = join(root, 'packages/protocol/src')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.generated.ts'))
    .map((path) => relative(root, join(folder, path)))
}
