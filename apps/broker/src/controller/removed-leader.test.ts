import type { Uuid } from '@millrace/base'
import type { ControllerEvents, Voter, VoterSet } from '@millrace/consensus'
import { beforeEach, expect, test } from 'vitest'
import { explainingRemovedLeader } from './removed-leader.ts'

const voter = (id: number): Voter => ({ id, directoryId: `directory-${id}` as Uuid, host: 'host', port: 9093 })

let lines: string[]
let told: (number | null)[]

beforeEach(() => {
  lines = []
  told = []
})

function eventsOf(voters: VoterSet): ControllerEvents {
  const ignore = () => undefined
  const events: ControllerEvents = {
    onRecords: ignore,
    onImage: ignore,
    onActiveController: (id) => told.push(id),
    onHeartbeatAnswer: ignore,
    onFatal: ignore,
  }
  const logger = { debug: ignore, info: (message: string) => lines.push(message), warn: ignore, error: ignore }
  return explainingRemovedLeader(events, { self: voter(1), logger, voters: () => voters })
}

test('a node that leads though it was removed says why', () => {
  eventsOf([voter(2), voter(3)]).onActiveController(1)
  expect(lines).toEqual(['this node was removed from the voters and leads until that is committed'])
  expect(told).toEqual([1])
})

test('a log of this node that was removed before leads as little as another node does', () => {
  eventsOf([{ ...voter(1), directoryId: 'another' as Uuid }, voter(2)]).onActiveController(1)
  expect(lines).toHaveLength(1)
})

test('voters, other leaders and a log that says nothing of voters need no explanation', () => {
  for (const voters of [[voter(1), voter(2)], []]) eventsOf(voters).onActiveController(1)
  for (const id of [2, null]) eventsOf([voter(2)]).onActiveController(id)
  expect(lines).toEqual([])
  expect(told).toEqual([1, 1, 2, null])
})
