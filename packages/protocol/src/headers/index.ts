export * from './request-frame.ts'
