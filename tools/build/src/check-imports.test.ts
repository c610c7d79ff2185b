import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkImports } from './check-imports.ts'

const config = join(import.meta.dirname, '../../../.dependency-cruiser.mjs')

/** Each test lays out a small workspace of its own and checks it by the real rules. */
describe('the import rules', () => {
  let root: string

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'imports-'))
    for (const name of ['base', 'protocol', 'consensus', 'storage']) {
      const exports = { '.': './src/index.ts' }
      write(`packages/${name}/package.json`, JSON.stringify({ name: `@millrace/${name}`, type: 'module', exports }))
      write(`packages/${name}/src/index.ts`, `export const ${name} = 1\n`)
      mkdirSync(join(root, 'node_modules/@millrace'), { recursive: true })
      symlinkSync(join(root, 'packages', name), join(root, 'node_modules/@millrace', name))
    }
    const dependencies = {
      '@millrace/base': '1',
      '@millrace/consensus': '1',
      '@millrace/protocol': '1',
      '@millrace/storage': '1',
    }
    write('package.json', JSON.stringify({ name: 'workspace', type: 'module', dependencies }))
  })

  afterEach(() => rmSync(root, { recursive: true, force: true }))

  function write(path: string, text: string): string {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    return path
  }

  const check = async (...files: string[]) =>
    (await checkImports(root, config, files)).problems.map((line) => line.split(':')[0])

  it('let a package import the ones below it', async () => {
    const file = write(
      'packages/storage/src/log.ts',
      "import { base } from '@millrace/base'\nexport const log = base\n",
    )
    expect(await check(file)).toEqual([])
  })

  it('keep consensus and storage apart, by type imports too', async () => {
    const value = write(
      'packages/storage/src/a.ts',
      "import { consensus } from '@millrace/consensus'\nexport const a = consensus\n",
    )
    const type = write(
      'packages/consensus/src/b.ts',
      "import type { storage } from '@millrace/storage'\nexport type B = typeof storage\n",
    )
    expect((await check(value, type)).sort()).toEqual(['layer-packages/consensus', 'layer-packages/storage'])
  })

  it('refuse a way into a package past its index', async () => {
    write('packages/base/src/inner.ts', 'export const inner = 1\n')
    const file = write('packages/storage/src/a.ts', "export { inner } from '../../base/src/inner.ts'\n")
    expect(await check(file)).toContain('door-packages/base')
  })

  it('refuse guarded Node modules outside their folders, but let tests have them', async () => {
    const source = "import { readFileSync } from 'node:fs'\nexport const read = readFileSync\n"
    const shipped = write('packages/storage/src/a.ts', source)
    const test = write('packages/storage/src/a.test.ts', source)
    expect(await check(shipped)).toEqual(['guarded-node'])
    expect(await check(test)).toEqual([])
  })

  it('refuse cycles between files, those of types too', async () => {
    const a = write(
      'packages/base/src/a.ts',
      "import { b } from './b.ts'\nexport const a: number = b\nexport type A = 1\n",
    )
    const b = write('packages/base/src/b.ts', "import { a } from './a.ts'\nexport const b: number = a\n")
    expect(await check(a, b)).toContain('no-cycle')
    write('packages/base/src/b.ts', "import type { A } from './a.ts'\nexport const b: A = 1\n")
    expect(await check(a, b)).toContain('no-cycle')
  })

  it('refuse a workspace folder that the table does not know', async () => {
    const file = write('packages/utils/src/a.ts', "import { base } from '@millrace/base'\nexport const a = base\n")
    expect(await check(file)).toContain('unlisted-folder')
  })

  it('refuse an import that leads nowhere', async () => {
    const file = write('packages/base/src/a.ts', "import { gone } from './gone.ts'\nexport const a = gone\n")
    expect(await check(file)).toContain('no-unresolved')
  })

  it('fail when no file was read', async () => {
    expect((await checkImports(root, config, [])).problems).toContain('no source files found')
  })
})
