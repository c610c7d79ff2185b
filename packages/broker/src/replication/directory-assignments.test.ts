import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import {
  type AssignReplicasToDirsAnswer,
  type AssignReplicasToDirsRequest,
  ControllerUnavailableError,
} from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { DirectoryAssignments } from './directory-assignments.ts'

const TOPIC_ID = 'MAAAAAAAAAAAAAAAAAAAAA' as Uuid
const [DIRECTORY_A, DIRECTORY_B] = ['MAAAAAAAAAAAAAAAAAAAAQ' as Uuid, 'MAAAAAAAAAAAAAAAAAAAAg' as Uuid]

function setUp() {
  const timers = new SimulatedTimers(new SimulatedClock())
  const requests: AssignReplicasToDirsRequest[] = []
  const answers: PromiseWithResolvers<AssignReplicasToDirsAnswer>[] = []
  const assignments = new DirectoryAssignments({
    brokerId: 1,
    timers,
    logger: new RecordingLogger(),
    brokerEpoch: () => 5,
  })
  assignments.onControllerPort({
    request: (_name, request) => {
      requests.push(request as AssignReplicasToDirsRequest)
      const answer = Promise.withResolvers<AssignReplicasToDirsAnswer>()
      answers.push(answer)
      return answer.promise as Promise<never>
    },
  })
  const answer = async (...codes: number[]): Promise<void> => {
    const { partitions } = requests.at(-1)!
    const results = partitions.map(({ partition }, slot) => ({
      topicId: TOPIC_ID,
      partition,
      errorCode: codes[slot]!,
    }))
    answers.at(-1)!.resolve({ partitions: results })
    await Promise.resolve()
    await Promise.resolve()
  }
  const assign = (partition: number, directory = DIRECTORY_A): void =>
    assignments.assign({ topicId: TOPIC_ID, partition, directory })
  return { timers, requests, answers, assignments, assign, answer }
}

describe('directories of replicas', () => {
  it('are told one request at a time', async () => {
    const { requests, assign, answer } = setUp()
    for (const partition of [0, 1, 2]) assign(partition)
    expect(requests).toHaveLength(1)
    await answer(0)
    expect(requests[1]).toMatchObject({ brokerId: 1, brokerEpoch: 5, partitions: [{ partition: 1 }, { partition: 2 }] })
  })

  it('are told again until the controller has taken them', async () => {
    const { requests, answers, timers, assign, answer } = setUp()
    assign(0)
    answers[0]!.reject(new ControllerUnavailableError('nobody', true))
    await Promise.resolve()
    await Promise.resolve()
    timers.advance(500)
    await answer(ErrorCode.NOT_CONTROLLER)
    timers.advance(500)
    await answer(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    timers.advance(5_000)
    expect(requests).toHaveLength(3)
  })

  it('are told as they are now, and not once the metadata has them', async () => {
    const { requests, timers, assignments, assign, answer } = setUp()
    assign(0)
    assign(0, DIRECTORY_B)
    await answer(ErrorCode.NOT_CONTROLLER)
    timers.advance(500)
    expect(requests[1]!.partitions).toMatchObject([{ directory: DIRECTORY_B }])
    assign(1)
    assignments.settled(TOPIC_ID, 1)
    await answer(0)
    timers.advance(5_000)
    expect(requests).toHaveLength(2)
  })
})
