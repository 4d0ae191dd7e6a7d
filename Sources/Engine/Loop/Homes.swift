/// The work of a worker as the home of channels: messages in the order in which they came, and the histories and
/// presences that expire.
struct Homes {
    /// The messages for channels whose home is here, with the size that they count for.
    var messages = Queue<(message: WorkerMessage.Home, byteCount: Int)>()
    /// The rooms with a history, those that have been quiet longest first, with the time of the message that put them
    /// there.
    var histories = Queue<(index: UInt32, epoch: String, time: Int64)>()
    /// The questions about users that the broker is answering.
    var questions = MembersQuestions()
    /// The next channel to check while `expireRooms` goes through all of them.
    var expiryPosition: UInt32?
    /// The time at which a room is due, in milliseconds since 1970.
    var roomsDueAt: Int64?
}
