import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPackage } from './build-package.ts'

const root = join(import.meta.dirname, '../../..')

/** A user's project that has the built base package in its node_modules, inside the workspace so that tsc finds Node's types. */
describe('a published package', () => {
  let project: string

  beforeAll(async () => {
    mkdirSync(join(root, 'node_modules/.cache'), { recursive: true })
    project = mkdtempSync(join(root, 'node_modules/.cache/consumer-'))
    await buildPackage(join(root, 'packages/base'), join(project, 'node_modules/@millrace/base'))
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  }, 60_000)

  afterAll(() => rmSync(project, { recursive: true, force: true }))

  it('runs on Node without any TypeScript', () => {
    writeFileSync(
      join(project, 'use.js'),
      "import { BaseError } from '@millrace/base'\nconsole.log(typeof BaseError)\n",
    )
    expect(execFileSync(process.execPath, ['use.js'], { cwd: project, encoding: 'utf8' })).toBe('function\n')
  })

  it('has declarations that a consumer compiles against', () => {
    const config = {
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions: { skipLibCheck: false },
      files: ['use.ts'],
    }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config))
    const compile = (source: string) => {
      writeFileSync(join(project, 'use.ts'), source)
      return execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', project], { encoding: 'utf8', stdio: 'pipe' })
    }
    expect(
      compile("import { BaseError } from '@millrace/base'\nexport const error: typeof Error = BaseError as never\n"),
    ).toBe('')
    expect(() => compile("import { NoSuchName } from '@millrace/base'\nexport const x = NoSuchName\n")).toThrow()
  })

  it('names its bundle and declarations, and no source file', () => {
    const manifest = JSON.parse(readFileSync(join(project, 'node_modules/@millrace/base/package.json'), 'utf8'))
    expect(manifest.exports).toEqual({ '.': { types: './types/index.d.ts', default: './index.js' } })
    expect(manifest.dependencies).toHaveProperty('koffi')
    expect(manifest).not.toHaveProperty('private')
  })
})
