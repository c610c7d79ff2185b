import { beforeEach, describe, expect, it } from 'vitest'
import { type ObservedTopic, type TopicChange, TopicKnowledge } from './topic-knowledge.ts'

describe('what is known of topics', () => {
  let knowledge: TopicKnowledge
  const asIs: ObservedTopic = { partitionCount: 2, retentionMs: '1000', recordCount: 0 }
  const see = (topics: Record<string, ObservedTopic>) => knowledge.check(new Map(Object.entries(topics)))

  function make(topic: string, change: TopicChange, isAcknowledged = true): void {
    knowledge.onAsked(topic, change)
    if (isAcknowledged) knowledge.onAcknowledged(topic, change)
  }

  beforeEach(() => {
    knowledge = new TopicKnowledge()
    make('t', asIs)
  })

  it('is content with what was acknowledged', () => {
    expect(see({ t: asIs })).toEqual([])
    make('t', { retentionMs: '2000' })
    make('t', { partitionCount: 3 })
    make('t', { recordCount: 1 })
    expect(knowledge.countMax('t', 'partitionCount')).toBe(3)
    expect(see({ t: { partitionCount: 3, retentionMs: '2000', recordCount: 1 } })).toEqual([])
    make('t', null)
    expect(see({})).toEqual([])
    expect(knowledge.existing()).toEqual([])
  })

  it('notices a topic that is gone, one that is back and one that nobody made', () => {
    expect(see({})).toEqual(['topic t was created and is gone'])
    make('t', asIs)
    make('t', null)
    expect(see({ t: asIs, other: asIs })).toEqual(['topic t was deleted and is back', 'topic other was never created'])
  })

  it('notices an acknowledged change that is undone', () => {
    make('t', { retentionMs: '2000' })
    make('t', { partitionCount: 3 })
    make('t', { recordCount: 1 })
    expect(see({ t: asIs })).toEqual([
      'topic t has partitionCount 2, not 3',
      'topic t has retentionMs 1000, not 2000',
      'topic t has recordCount none, not 1',
    ])
  })

  it('allows either outcome of a change without an answer, and then holds the broker to it', () => {
    make('t', { retentionMs: '2000' }, false)
    make('u', asIs, false)
    expect(knowledge.existing()).toEqual(['t'])
    expect(see({ t: { ...asIs, retentionMs: '2000' }, u: asIs })).toEqual([])
    expect(see({ t: asIs })).toEqual(['topic t has retentionMs 1000, not 2000', 'topic u was created and is gone'])
    make('t', null, false)
    expect(see({})).toEqual([])
    expect(see({ t: asIs })).toEqual(['topic t was deleted and is back'])
  })

  it('does not let a name that is used again bring back what was under it', () => {
    make('t', { recordCount: 1 })
    make('t', null)
    expect(knowledge.deleted()).toEqual(['t'])
    const other = { partitionCount: 1, retentionMs: '5000', recordCount: 0 }
    make('t', other, false)
    expect(knowledge.existing()).toEqual([])
    expect(knowledge.deleted()).toEqual([])
    expect(see({ t: other })).toEqual([])
    make('t', null)
    make('t', asIs)
    expect(see({ t: { ...other, recordCount: 1 } })).toEqual([
      'topic t has partitionCount 1, not 2',
      'topic t has retentionMs 5000, not 1000',
      'topic t has recordCount 1, not 0',
    ])
  })

  it('does not allow a third outcome', () => {
    make('t', { retentionMs: '2000' }, false)
    expect(see({ t: { ...asIs, retentionMs: '3000' } })).toEqual(['topic t has retentionMs 3000, not 1000 or 2000'])
  })
})
