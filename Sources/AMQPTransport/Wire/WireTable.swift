import AMQPModel
import CRabbitMQ

/// Memory for the arguments of one outgoing method: strings and tables copied where C can read them.
///
/// Everything handed out is valid until the arena is recycled or gone.
struct WireArena: ~Copyable {
    // Owned by this value alone; the library keeps no pointer to the pool itself.
    private var pool = amqp_pool_t()

    init() { init_amqp_pool(&pool, 4096) }

    deinit {
        var last = pool
        empty_amqp_pool(&last)
    }

    mutating func recycle() { recycle_amqp_pool(&pool) }

    mutating func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { utf8 in
            var copy = amqp_empty_bytes
            // A null pointer means out of memory; the empty string then goes out and the broker refuses it.
            amqp_pool_alloc_bytes(&pool, max(utf8.count, 1), &copy)
            guard let target = copy.bytes, let source = utf8.baseAddress else { return amqp_empty_bytes }
            target.copyMemory(from: source, byteCount: utf8.count)
            copy.len = utf8.count
            return copy
        }
    }

    /// Keys are sorted, so that equal tables are written equally.
    mutating func table(_ fields: FieldTable) -> amqp_table_t {
        guard !fields.isEmpty,
            let memory = amqp_pool_alloc(&pool, fields.count * MemoryLayout<amqp_table_entry_t>.stride)
        else { return amqp_empty_table }
        let entries = memory.bindMemory(to: amqp_table_entry_t.self, capacity: fields.count)
        var position = 0
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            entries[position] = amqp_table_entry_t(key: bytes(key), value: field(value))
            position += 1
        }
        return amqp_table_t(num_entries: Int32(position), entries: entries)
    }

    private mutating func field(_ value: FieldValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        switch value {
        case .bool(let value):
            field.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
            field.value.boolean = value ? 1 : 0
        case .int(let value):
            if let small = Int32(exactly: value) {
                field.kind = UInt8(AMQP_FIELD_KIND_I32.rawValue)
                field.value.i32 = small
            } else {
                field.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
                field.value.i64 = value
            }
        case .string(let value):
            field.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            field.value.bytes = bytes(value)
        case .table(let value):
            field.kind = UInt8(AMQP_FIELD_KIND_TABLE.rawValue)
            field.value.table = table(value)
        }
        return field
    }
}

/// Reads the library's tables and strings.
enum WireValue {
    /// Deeper tables are dropped; nobody's headers nest that far.
    private static let maximumDepth = 8

    static func string(_ bytes: amqp_bytes_t) -> String {
        guard bytes.len > 0, let start = bytes.bytes else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: bytes.len), as: UTF8.self)
    }

    /// Values of types that ``FieldValue`` lacks are left out, except that floating-point numbers become text.
    static func table(_ table: amqp_table_t, depth: Int = 0) -> FieldTable {
        guard table.num_entries > 0, depth < maximumDepth, let entries = table.entries else { return [:] }
        var fields = FieldTable(minimumCapacity: Int(table.num_entries))
        for position in 0..<Int(table.num_entries) {
            if let value = field(entries[position].value, depth: depth) {
                fields[string(entries[position].key)] = value
            }
        }
        return fields
    }

    private static func field(_ field: amqp_field_value_t, depth: Int) -> FieldValue? {
        switch amqp_field_value_kind_t(UInt32(field.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: .bool(field.value.boolean != 0)
        case AMQP_FIELD_KIND_I8: .int(Int64(field.value.i8))
        case AMQP_FIELD_KIND_U8: .int(Int64(field.value.u8))
        case AMQP_FIELD_KIND_I16: .int(Int64(field.value.i16))
        case AMQP_FIELD_KIND_U16: .int(Int64(field.value.u16))
        case AMQP_FIELD_KIND_I32: .int(Int64(field.value.i32))
        case AMQP_FIELD_KIND_U32: .int(Int64(field.value.u32))
        case AMQP_FIELD_KIND_I64: .int(field.value.i64)
        case AMQP_FIELD_KIND_U64, AMQP_FIELD_KIND_TIMESTAMP: .int(Int64(clamping: field.value.u64))
        case AMQP_FIELD_KIND_F32: .string(String(field.value.f32))
        case AMQP_FIELD_KIND_F64: .string(String(field.value.f64))
        case AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES: .string(string(field.value.bytes))
        case AMQP_FIELD_KIND_TABLE: .table(table(field.value.table, depth: depth + 1))
        default: nil
        }
    }
}
