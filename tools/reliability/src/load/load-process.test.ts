import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type LoadPriority, LoadProcess } from './load-process.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-load-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A load whose answers to its plan and to a question are these expressions. */
function program(name: string, onPlan: string, onQuestion = 'null'): string {
  const path = join(folder, `${name}.mjs`)
  const body = `process.on('message', (message) => { message === 'report' ? ${onQuestion} : ${onPlan} })`
  writeFileSync(path, body)
  return path
}
const ready = "process.send({ kind: 'ready' })"

test('a load tells how it goes, until it is killed', async () => {
  const load = await LoadProcess.start(program('good', ready, "process.send({ kind: 'report', report: 7 })"), {})
  expect(await load.report()).toBe(7)
  await load.kill()
  await expect(load.report()).rejects.toThrow('ended by itself')
  await load.kill()
})

test('a load that cannot start, or ends before it was asked or while it is, is found', async () => {
  const failed = program('failed', "process.send({ kind: 'failed', reason: 'no room' })")
  await expect(LoadProcess.start(failed, {})).rejects.toThrow('no room')
  await expect(LoadProcess.start(program('gone', 'process.exit(3)'), {})).rejects.toThrow('ended by itself')
  const load = await LoadProcess.start(program('leaves', ready, 'process.exit(3)'), {})
  await expect(load.report()).rejects.toThrow('ended by itself')
  await expect(load.report()).rejects.toThrow('ended by itself')
})

test.runIf(process.platform === 'linux')('a load runs with the priority it is to have', async () => {
  const tellPid = program('pid', ready, "process.send({ kind: 'report', report: process.pid })")
  const priorityOf = async (priority: LoadPriority) => {
    const load = await LoadProcess.start<object, number>(tellPid, {}, priority)
    const pid = await load.report()
    const fields = statFields(pid)
    const group = `/proc/${pid}/autogroup`
    if (priority === 'idle' && existsSync(group)) expect(readFileSync(group, 'latin1')).toContain('nice 19')
    await load.kill()
    return { niceness: fields[16], policy: fields[38] }
  }
  // Whatever the tests themselves run with.
  const own = { niceness: getPriority(), policy: statFields(process.pid)[38] }
  const SCHED_IDLE = 5
  expect(await priorityOf('normal')).toEqual(own)
  expect(await priorityOf('yielding')).toEqual({ ...own, niceness: Math.max(own.niceness, 10) })
  expect(await priorityOf('idle')).toEqual({ ...own, policy: SCHED_IDLE })
})

test('a load that cannot have the lowest priority is ended, and what is missing is told', async () => {
  vi.stubEnv('PATH', folder)
  try {
    await expect(LoadProcess.start(program('unheard', ready), {}, 'idle')).rejects.toThrow('needs `chrt` of util-linux')
  } finally {
    vi.unstubAllEnvs()
  }
})

/** Of `/proc/PID/stat`, from the third field on, which follows the name in parentheses. */
function statFields(pid: number): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
}
