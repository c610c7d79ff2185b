import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readHistory } from './history-file.ts'
import { Recorder } from './recorder.ts'

describe('a recorded history', () => {
  let directory: string
  let path: string

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-'))
    path = join(directory, 'history.jsonl')
  })

  afterEach(() => rmSync(directory, { recursive: true }))

  async function record() {
    const recorder = new Recorder(path, 7)
    const send = recorder.invoke('p', { kind: 'send', key: 't/0', value: 'a' })
    const poll = recorder.invoke('r', { kind: 'poll' })
    const fault = recorder.fault('kill')
    recorder.detail(fault, 'node 1', [1])
    recorder.endFault(recorder.fault('found nothing to break'))
    recorder.complete(send, { outcome: 'ok', offset: 3 })
    recorder.complete(poll, { outcome: 'ok', records: [{ key: 't/0', offset: 3, value: 'a' }], isRebalanced: true })
    recorder.endFault(fault)
    const sends = [{ key: 't/0', value: 'b' }]
    const consumed = {
      group: 'g',
      records: [{ key: 't/0', offset: 3, value: 'a' }],
      places: [{ key: 't/0', offset: 4 }],
    }
    const committed = recorder.invoke('p', { kind: 'txn', sends, consumed, end: 'commit' })
    recorder.complete(committed, { outcome: 'ok', offsets: [5] })
    recorder.complete(recorder.invoke('p', { kind: 'txn', sends, end: 'abandon' }), { outcome: 'info' })
    recorder.invoke('p', { kind: 'txn', sends, end: 'abort' })
    recorder.invoke('p', { kind: 'commit', group: 'g', places: [{ key: 't/0', offset: 4 }] })
    const rules = { deliveryLimit: 5, lockMs: 10_000, fetchMs: 6000, maxPollRecords: 500 }
    recorder.complete(recorder.invoke('m', { kind: 'join', group: 's', rules }), { outcome: 'ok' })
    const delivered = [{ key: 't/0', offset: 3, value: 'a', count: 2 }]
    recorder.complete(recorder.invoke('m', { kind: 'acquire', group: 's' }), { outcome: 'ok', delivered })
    const verdicts = [{ key: 't/0', offset: 3, verdict: 'accept' as const }]
    const places = [{ key: 't/0', offset: 3 }]
    const said = recorder.invoke('m', { kind: 'acknowledge', group: 's', verdicts })
    recorder.complete(said, { outcome: 'ok', taken: places, refused: places })
    const asked = recorder.invoke('o', { kind: 'share-progress', group: 's' })
    recorder.complete(asked, { outcome: 'ok', places, drained: ['t/0'] })
    recorder.healed()
    return recorder.finish()
  }

  it('is read back as it was recorded', async () => {
    const recorded = await record()
    expect(recorded.operations).toMatchObject([
      { kind: 'send', process: 'p', outcome: 'ok', steps: [{ offset: 3, value: 'a' }] },
      { kind: 'poll', process: 'r', steps: [{ isRebalanced: true }] },
      { kind: 'txn', outcome: 'ok', steps: [{ value: 'b', offset: 5 }], consumed: { group: 'g' } },
      { kind: 'txn', outcome: 'fail', steps: [{ offset: null }] },
      { kind: 'join', process: 'm', group: 's', rules: { deliveryLimit: 5 } },
      { kind: 'acquire', group: 's', records: [{ key: 't/0', offset: 3, value: 'a', count: 2 }] },
      {
        kind: 'acknowledge',
        verdicts: [{ offset: 3, verdict: 'accept' }],
        taken: [{ offset: 3 }],
        refused: [{ offset: 3 }],
      },
      { kind: 'share-progress', places: [{ key: 't/0', offset: 3 }], drained: ['t/0'] },
      { kind: 'txn', outcome: 'fail' },
      { kind: 'commit', outcome: 'info', completedMs: Number.POSITIVE_INFINITY },
    ])
    expect(recorded.faults).toMatchObject([{ kind: 'kill', detail: 'node 1', nodes: [1] }])
    expect(readHistory(readFileSync(path, 'utf8'))).toEqual({
      head: { format: 'millrace-chaos-history', version: 1, seed: 7 },
      history: recorded,
    })
  })

  it('is read up to where it breaks off', async () => {
    await record()
    const { history } = readHistory(readFileSync(path, 'utf8').slice(0, -5))
    expect(history.operations).toHaveLength(10)
  })

  it('is refused if it is damaged, or of another kind or version', async () => {
    await record()
    const text = readFileSync(path, 'utf8')
    expect(() => readHistory(text.replace('"process"', '"process'))).toThrow('line 2 is damaged')
    expect(() => readHistory('{"format":"other"}\n')).toThrow('no history')
    expect(() => readHistory(text.replace('"version":1', '"version":2'))).toThrow('version 2')
    expect(() => readHistory(text.replace('"invoke","id":0', '"invoke","id":9'))).toThrow('without having begun')
  })
})
