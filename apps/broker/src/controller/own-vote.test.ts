import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import { type ApiError, ControllerUnavailableError, type Voter, type VoterSet } from '@millrace/consensus'
import { beforeEach, expect, test } from 'vitest'
import { keepOwnVote, type OwnVoteOptions } from './own-vote.ts'
import type { RepeatedRequest } from './repeated-request.ts'

const DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAZA' as Uuid
const self: Voter = { id: 1, directoryId: DIRECTORY, host: 'new', port: 2 }

let timers: SimulatedTimers
let voters: VoterSet
let asked: Voter[]
let added: Voter[]
let answer: () => Promise<ApiError | null>
let lines: string[]

beforeEach(() => {
  timers = new SimulatedTimers(new SimulatedClock())
  voters = [{ ...self, host: 'old', port: 1 }]
  asked = []
  added = []
  answer = async () => null
  lines = []
})

function watch(init: Partial<OwnVoteOptions> = {}): RepeatedRequest {
  const log = (message: string): void => void lines.push(message)
  return keepOwnVote({
    self,
    isNamed: true,
    joins: false,
    timers,
    logger: { debug: log, info: log, warn: log, error: log },
    voters: () => voters,
    update(voter) {
      asked.push(voter)
      return answer()
    },
    add(voter) {
      added.push(voter)
      return answer()
    },
    ...init,
  })
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

test('a voter that moved has its entry changed, once', async () => {
  watch()
  expect(asked).toEqual([self])
  voters = [self]
  await settle()
  timers.advance(10_000)
  expect(asked).toHaveLength(1)
  expect(lines).toEqual(['the other nodes know the new address of this voter'])
})

test('as long as no controller can do it, it is asked again', async () => {
  answer = async () => {
    throw new ControllerUnavailableError('nobody', false)
  }
  const address = watch()
  await settle()
  timers.advance(2000)
  await settle()
  expect(asked).toHaveLength(2)
  address.close()
  timers.advance(10_000)
  expect(asked).toHaveLength(2)
})

test('one request at a time', () => {
  answer = () => new Promise(() => undefined)
  watch()
  timers.advance(10_000)
  expect(asked).toHaveLength(1)
})

test('who does not vote, or has another directory than the voter of its id, asks for nothing', () => {
  voters = []
  watch()
  voters = [{ ...self, host: 'old', directoryId: 'AAAAAAAAAAAAAAAAAAAAZQ' as Uuid }]
  timers.advance(10_000)
  expect(asked).toEqual([])
})

test('who joins later asks for a vote if the settings say so, and no more once it has one', async () => {
  voters = []
  watch({ isNamed: false, joins: true })
  expect(added).toEqual([self])
  voters = [self, ...voters]
  await settle()
  timers.advance(10_000)
  expect(added).toHaveLength(1)
  expect(lines).toEqual(['this controller has a vote now'])
})

test('nobody asks for a vote unasked, in place of another directory, or after it was taken out', () => {
  voters = [{ ...self, id: 9 }]
  watch({ isNamed: false })
  watch({ isNamed: true, joins: true })
  voters = [{ ...self, directoryId: 'AAAAAAAAAAAAAAAAAAAAZQ' as Uuid }]
  watch({ isNamed: false, joins: true })
  timers.advance(1)
  expect(added).toEqual([])
  expect(asked).toEqual([])
})
