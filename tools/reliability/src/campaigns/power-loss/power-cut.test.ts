import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PowerCut } from './power-cut.ts'
import { compilePreload, preloadEnvironment } from './preload.ts'

/**
 * Goal: the preload library writes down what a real process does to its files. Method: small programs write, sync, rename and remove,
 * and end by SIGKILL; the trace must explain the directory exactly, and the worst cut must leave what was synced and no more.
 */
describe('a process with the preload library', () => {
  let folder: string
  let library: string
  let root: string
  let caseCount = 0

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-preload-test-'))
    library = compilePreload(join(import.meta.dirname, '../../../../..'), folder)
  })

  beforeEach(() => {
    root = join(folder, `case-${caseCount++}`)
    mkdirSync(root)
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  const trace = () => `${root}.trace`

  /** Runs a program that ends itself by SIGKILL. `fs`, `assert` and `root` are there. */
  async function run(program: string): Promise<void> {
    const head = `const fs = require('node:fs'); const assert = require('node:assert'); const root = ${JSON.stringify(root)};`
    const body = `(async () => { ${program}; process.kill(process.pid, 'SIGKILL') })()`
    const child = spawn(process.execPath, ['-e', `${head} ${body}`], {
      env: { ...process.env, ...preloadEnvironment(library, root, trace()) },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const signal = await new Promise((resolve) => child.once('close', (_code, ended) => resolve(ended)))
    expect(signal).toBe('SIGKILL')
  }

  /** Zero draws the worst cut, all lost. */
  const worst = { uint32: () => 0, bytes: (sizeBytes: number) => Buffer.alloc(sizeBytes) }

  function files(): Record<string, string> {
    const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    return Object.fromEntries(
      names.map((entry) => {
        const full = join(entry.parentPath, entry.name)
        return [full.slice(root.length + 1), readFileSync(full, 'latin1')]
      }),
    )
  }

  const sync = (name: string) => `{ const fd = fs.openSync(root + '${name}', 'r'); fs.fsyncSync(fd); fs.closeSync(fd) }`

  it('keeps what it synced and loses the rest, over several lives', async () => {
    const powerCut = new PowerCut({ root, trace: trace(), random: worst })
    await run(`
      const fd = fs.openSync(root + '/log', 'w+');
      fs.writeSync(fd, 'synced ', 0);
      fs.writevSync(fd, [Buffer.from('and '), Buffer.from('more ')], 7);
      fs.fdatasyncSync(fd);
      ${sync('')}
      fs.writeSync(fd, 'lost', 16);
      fs.writeFileSync(root + '/unnamed', 'x')`)
    expect(files()).toEqual({ log: 'synced and more lost', unnamed: 'x' })
    expect(powerCut.cut()).toEqual([])
    expect(files()).toEqual({ log: 'synced and more ' })
    expect(existsSync(trace())).toBe(false)

    await run(`
      fs.renameSync(root + '/log', root + '/old');
      fs.mkdirSync(root + '/d');
      const file = await fs.promises.open(root + '/d/new', 'w');
      await file.write(Buffer.from('one'), 0, 3, 0);
      await file.datasync(); await file.close();
      ${sync('/d')}`)
    expect(files()).toEqual({ old: 'synced and more ', 'd/new': 'one' })
    expect(powerCut.cut()).toEqual([])
    expect(files()).toEqual({ log: 'synced and more ' })
    expect(powerCut.figures).toMatchObject({ cutsLosingAllCount: 2, tracedSyncCount: 4, unsyncedNameCount: 3 })
  })

  it('can lose after a kill alone, at the next cut, what no later life has synced', async () => {
    // The first draw of each kill says whether the power stays on; zeros after that draw the worst cut.
    const draws = [5, 0]
    const random = { ...worst, uint32: () => draws.shift() ?? 0 }
    const powerCut = new PowerCut({ root, trace: trace(), random })
    await run(`
      const fd = fs.openSync(root + '/log', 'w+'); fs.writeSync(fd, 'synced ', 0); fs.fsyncSync(fd);
      ${sync('')}
      fs.writeSync(fd, 'kept ', 7); fs.writeFileSync(root + '/unsynced', 'x')`)
    expect(powerCut.cut()).toEqual([])
    expect(files()).toEqual({ log: 'synced kept ', unsynced: 'x' })
    expect(powerCut.figures).toMatchObject({ killsWithoutCutCount: 1, cutsLosingAllCount: 0 })
    await run(
      `assert.strictEqual(fs.readFileSync(root + '/unsynced', 'latin1'), 'x'); fs.appendFileSync(root + '/log', 'lost')`,
    )
    expect(powerCut.cut()).toEqual([])
    expect(files()).toEqual({ log: 'synced ' })
  })

  it('is followed through cuts, growth, appends, removals of trees and descriptors that are used again', async () => {
    const powerCut = new PowerCut({ root, trace: trace(), random: worst })
    await run(`
      fs.appendFileSync(root + '/a', 'one'); fs.appendFileSync(root + '/a', 'two');
      const fd = fs.openSync(root + '/b', 'w+'); fs.writeSync(fd, Buffer.alloc(10000, 'b')); fs.ftruncateSync(fd, 5000);
      fs.ftruncateSync(fd, 6000); fs.closeSync(fd);
      fs.mkdirSync(root + '/t/u/v', { recursive: true }); fs.writeFileSync(root + '/t/u/v/w', 'w');
      fs.writeFileSync(root + '/t/x', 'x');
      fs.rmSync(root + '/t/u', { recursive: true });
      await fs.promises.rm(root + '/t', { recursive: true });
      for (let i = 0; i < 50; i++) { fs.writeFileSync(root + '/f' + i, 'f' + i); fs.writeFileSync('/dev/null', 'other') }
      for (let i = 0; i < 50; i += 2) fs.unlinkSync(root + '/f' + i);
      assert.throws(() => fs.unlinkSync(root + '/absent'), { code: 'ENOENT' });
      assert.throws(() => fs.mkdirSync(root + '/f1'), { code: 'EEXIST' });
      assert.throws(() => fs.openSync(root + '/no/where', 'w'), { code: 'ENOENT' });
      fs.writeFileSync(root + '/f1', 'short')`)
    expect(powerCut.cut()).toEqual([])
    expect(files()).toEqual({})
  })

  it('is found out when its trace has a hole', async () => {
    const powerCut = new PowerCut({ root, trace: trace(), random: worst })
    await run(`fs.writeFileSync(root + '/a', 'one'); ${sync('')}`)
    writeFileSync(join(root, 'a'), 'two')
    writeFileSync(join(root, 'b'), 'by another')
    expect(powerCut.cut()).toEqual([
      'the trace does not explain that b is not expected',
      'the trace does not explain that a has other contents',
    ])
  })

  it('is refused when it does what the model does not follow', async () => {
    const powerCut = new PowerCut({ root, trace: trace(), random: worst })
    await run(`fs.writeFileSync(root + '/a', 'one'); fs.linkSync(root + '/a', root + '/b')`)
    expect(() => powerCut.cut()).toThrow('link')
  })
})
