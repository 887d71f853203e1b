import ArgumentParser
@main struct Roadstead: AsyncParsableCommand { mutating func run() async throws {} }
