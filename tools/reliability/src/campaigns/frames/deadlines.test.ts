import { TestBroker } from '@millrace/broker/testing'
import { expect, test } from 'vitest'
import { deadlineComplaints } from './deadlines.ts'

const turn = async (work: () => void): Promise<void> => {
  work()
  await new Promise((resolve) => setImmediate(resolve))
}

test('a broker closes who stalls within a frame and who says nothing, each in time, and nobody else', async () => {
  await TestBroker.run({}, async (_client, broker) => {
    expect(await deadlineComplaints(broker, turn)).toEqual([])
  })
})

test('a broker that keeps idle connections for longer, or closes them sooner, is found', async () => {
  await TestBroker.run({ settings: { 'connections.max.idle.ms': '86400000' } }, async (_client, broker) => {
    expect(await deadlineComplaints(broker, turn)).toEqual(['one that says nothing is still open after 625 s'])
  })
  await TestBroker.run({ settings: { 'connections.max.idle.ms': '10000' } }, async (_client, broker) => {
    expect(await deadlineComplaints(broker, turn)).toContain('one that says nothing is closed after 50 s')
  })
})
