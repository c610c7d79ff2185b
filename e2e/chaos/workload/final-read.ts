import type { Key } from '../history/operation.ts'
import type { Recorder } from '../history/recorder.ts'
import type { ClientProgram } from './client-program.ts'
import type { Knowledge } from './knowledge.ts'
import { RecordedClient } from './recorded-client.ts'

export interface FinalReadOptions {
  readonly programs: readonly ClientProgram[]
  readonly recorder: Recorder
  readonly knowledge: Knowledge
  /** Where every log must be read up to, by the ends that the cluster tells once it is healed. */
  readonly ends: ReadonlyMap<Key, number>
  readonly limitMs: number
}

/**
 * A fresh client of each library reads every log from its beginning to its end. Answers which of them did; what none of them saw in
 * time shows in the history as never read.
 */
export async function finalRead(options: FinalReadOptions): Promise<readonly { library: string; isWhole: boolean }[]> {
  return Promise.all(
    options.programs.map(async (program) => ({ library: program.library, isWhole: await readAll(program, options) })),
  )
}

async function readAll(
  program: ClientProgram,
  { recorder, knowledge, ends, limitMs }: FinalReadOptions,
): Promise<boolean> {
  const deadlineMs = recorder.nowMs + limitMs
  const name = `final-${program.library}`
  const client = new RecordedClient({ name, group: name }, program, recorder, knowledge)
  const places = [...ends.keys()].map((key) => ({ key, offset: 0 }))
  const positions = new Map<Key, number>()
  const isWhole = () => [...ends].every(([key, end]) => (positions.get(key) ?? 0) >= end)
  while (!isWhole() && recorder.nowMs < deadlineMs) {
    if (positions.size === 0 || client.isLost || client.badStreak > 5) {
      positions.clear()
      if (!(await client.open()) || !(await client.assign(places))) continue
      for (const { key } of places) positions.set(key, 0)
    }
    const polled = await client.poll(500)
    for (const { key, offset } of polled?.records ?? []) positions.set(key, offset + 1)
  }
  return isWhole()
}
