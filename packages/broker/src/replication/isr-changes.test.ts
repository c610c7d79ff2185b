import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import { type AlterPartitionAnswer, type AlterPartitionRequest, ControllerUnavailableError } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { IsrChanges } from './isr-changes.ts'
import type { IsrOwner, IsrProposal } from './isr-proposal.ts'

const TOPIC_ID = 'MAAAAAAAAAAAAAAAAAAAAA' as Uuid

class Owner implements IsrOwner {
  readonly topicId = TOPIC_ID
  readonly partition: number
  pending: IsrProposal | null = null
  readonly log: string[] = []

  constructor(partition: number) {
    this.partition = partition
  }

  isPending(proposal: IsrProposal): boolean {
    return this.pending === proposal
  }

  onIsrCommitted(): void {
    this.pending = null
    this.log.push('committed')
  }

  onIsrRefused(): void {
    this.pending = null
    this.log.push('refused')
  }
}

function proposal(partitionEpoch = 0): IsrProposal {
  const members = [{ brokerId: 1, brokerEpoch: 5 }]
  return { isr: [1], members, leaderEpoch: 1, partitionEpoch, leaderRecoveryState: 0 }
}

function setUp() {
  const timers = new SimulatedTimers(new SimulatedClock())
  const requests: AlterPartitionRequest[] = []
  const answers: PromiseWithResolvers<AlterPartitionAnswer>[] = []
  let brokerEpoch = 5
  const changes = new IsrChanges({ brokerId: 1, timers, logger: new RecordingLogger(), brokerEpoch: () => brokerEpoch })
  changes.onControllerPort({
    request: (_name, request) => {
      requests.push(request as AlterPartitionRequest)
      const answer = Promise.withResolvers<AlterPartitionAnswer>()
      answers.push(answer)
      return answer.promise as Promise<never>
    },
  })
  const propose = (owner: Owner, wish = proposal()): void => {
    owner.pending = wish
    changes.propose(owner, wish)
  }
  const answer = async (...codes: number[]): Promise<void> => {
    const { partitions } = requests.at(-1)!
    const results = partitions.map(({ partition }, slot) => ({
      topicId: TOPIC_ID,
      partition,
      errorCode: codes[slot]!,
      leader: 1,
      leaderEpoch: 1,
      partitionEpoch: 1,
      isr: [1],
      leaderRecoveryState: 0 as const,
    }))
    answers.at(-1)!.resolve({ partitions: results })
    await Promise.resolve()
    await Promise.resolve()
  }
  return {
    timers,
    requests,
    answers,
    changes,
    propose,
    answer,
    setBrokerEpoch: (epoch: number) => {
      brokerEpoch = epoch
    },
  }
}

describe('changes of in-sync replicas', () => {
  it('are asked for one request at a time, with all that came meanwhile in the next', async () => {
    const { requests, propose, answer } = setUp()
    const owners = [new Owner(0), new Owner(1), new Owner(2)]
    for (const owner of owners) propose(owner)
    expect(requests.map(({ partitions }) => partitions.map(({ partition }) => partition))).toEqual([[0]])
    await answer(0)
    expect(requests[1]!.partitions.map(({ partition }) => partition)).toEqual([1, 2])
    await answer(0, 0)
    expect(owners.map(({ log }) => log)).toEqual([['committed'], ['committed'], ['committed']])
  })

  it('wait until the broker is registered', () => {
    const { requests, propose, changes, setBrokerEpoch } = setUp()
    setBrokerEpoch(-1)
    propose(new Owner(0))
    expect(requests).toEqual([])
    setBrokerEpoch(7)
    changes.wake()
    expect(requests).toMatchObject([{ brokerId: 1, brokerEpoch: 7 }])
  })

  it('go back to what is committed when a member may not join', async () => {
    for (const code of [ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED]) {
      const { propose, answer } = setUp()
      const owner = new Owner(0)
      propose(owner)
      await answer(code)
      expect(owner.log).toEqual(['refused'])
    }
  })

  it('wait for the metadata where that has gone on', async () => {
    for (const code of [
      ErrorCode.FENCED_LEADER_EPOCH,
      ErrorCode.INVALID_UPDATE_VERSION,
      ErrorCode.NEW_LEADER_ELECTED,
    ]) {
      const { requests, timers, propose, answer } = setUp()
      const owner = new Owner(0)
      propose(owner)
      await answer(code)
      timers.advance(1_000)
      expect(owner.pending).not.toBeNull()
      expect(requests).toHaveLength(1)
    }
  })

  it('are asked for again after any other error, and after no answer', async () => {
    const { requests, answers, timers, propose, answer } = setUp()
    const owner = new Owner(0)
    propose(owner)
    await answer(ErrorCode.NOT_CONTROLLER)
    expect(requests).toHaveLength(1)
    timers.advance(50)
    expect(requests).toHaveLength(2)
    answers[1]!.reject(new ControllerUnavailableError('nobody', true))
    await Promise.resolve()
    await Promise.resolve()
    timers.advance(50)
    expect(requests).toHaveLength(3)
    await answer(0)
    expect(owner.log).toEqual(['committed'])
  })

  it('are not asked for again once the metadata has overtaken them', async () => {
    const { requests, timers, propose, answer } = setUp()
    const owner = new Owner(0)
    propose(owner)
    owner.pending = null
    await answer(ErrorCode.NOT_CONTROLLER)
    timers.advance(1_000)
    expect(requests).toHaveLength(1)
  })

  it('give way to what the leader proposed since', async () => {
    const { requests, timers, propose, answer } = setUp()
    const owner = new Owner(0)
    propose(owner)
    propose(owner, proposal(4))
    await answer(ErrorCode.NOT_CONTROLLER)
    timers.advance(50)
    expect(requests[1]!.partitions).toMatchObject([{ partitionEpoch: 4 }])
  })
})
